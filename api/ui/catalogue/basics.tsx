import { ActionIcon, Button, Kbd, SegmentedControl } from '@mantine/core'
import { Bell, Plus, RefreshCw } from 'lucide-react'
import { useState } from 'react'
import { Ago, Chip, Disclosure, Labels, NewBadge, Section, ServiceLink, Since, Status, Swatch } from '../src/components/bits'
import { LinkButton } from '../src/components/button'
import { Check, Choice, Field, FormCheck, Pick, SearchForm } from '../src/components/form'
import { Name } from '../src/components/name'
import { PageHeader } from '../src/components/page'
import { Spark } from '../src/components/spark'
import { Sure } from '../src/components/sure'
import { Text } from '../src/components/text'
import { type Health, healthOrder } from '../src/lib/health'
import { before } from './still'

const nothing = () => {}

export function Buttons() {
  return (
    <>
      <div className="catalogue-row">
        <Button variant="filled">Filled</Button>
        <Button>Default</Button>
        <Button leftSection={<Plus size={14} aria-hidden="true" />}>With icon</Button>
        <Button disabled title="This needs the role editor">
          Disabled
        </Button>
        <Button variant="filled" disabled>
          Filled, disabled
        </Button>
        <LinkButton href="/" primary icon={Bell}>
          Link as action
        </LinkButton>
        <LinkButton href="/">Link</LinkButton>
        <ActionIcon variant="default" size={28} aria-label="Read again">
          <RefreshCw size={14} aria-hidden="true" />
        </ActionIcon>
        <ActionIcon variant="subtle" color="gray" size={24} aria-label="Add">
          <Plus size={14} aria-hidden="true" />
        </ActionIcon>
      </div>
      <div className="catalogue-row">
        <button type="button" className="button">
          Plain
        </button>
        <button type="button" className="button primary">
          Primary
        </button>
        <button type="button" className="button small">
          Small
        </button>
        <button type="button" className="button" disabled>
          Disabled
        </button>
        <button type="button" className="plain">
          In a row
        </button>
        <button type="button" className="plain" disabled>
          In a row, disabled
        </button>
        <button type="button" className="more">
          Show more
        </button>
        <Sure word="Delete" sure="Really delete" disabled={false} onSure={nothing} />
        <Sure word="Delete" sure="Really delete" disabled={false} denied="This needs the role admin" onSure={nothing} />
      </div>
      <div className="catalogue-row">
        <SegmentedControl aria-label="Shown as" data={['Graph', 'Table', 'Heatmap']} defaultValue="Table" />
        <Kbd>Ctrl</Kbd>
        <Kbd>K</Kbd>
        <a href="/">A link in a text</a>
      </div>
    </>
  )
}

const healths = Object.keys(healthOrder) as Health[]
const wave = Array.from({ length: 40 }, (_, n) => (n % 13 === 12 ? null : 5 + 4 * Math.sin(n / 4)))

export function States() {
  return (
    <>
      <div className="catalogue-row">
        {healths.map((h) => (
          <Status key={h} health={h} />
        ))}
        <Status health="nodata" word="was ok" />
        <Status health="pending" word="a word of its own" />
      </div>
      <div className="catalogue-row">
        <NewBadge />
        <span className="badge">3</span>
        <span className="version">version</span>
        <span className="bad">44.1 %</span>
        <span className="dim">0.2 %</span>
        <Swatch service="checkout" />
        <Swatch service="payment" />
        <Ago time={before(40)} />
        <Since time={before(4_000)} />
        <Ago time={null} />
      </div>
      <div className="catalogue-row">
        <Labels labels={{ alertname: 'ErrorsInService', service_name: 'checkout', severity: 'page' }} />
        <ServiceLink name="checkout" />
        <ServiceLink name="" />
        <Name of={'turned \u202eeman a\u202c and\ta tab'} />
        <Name of="اسم الخدمة" />
      </div>
      <div className="catalogue-row">
        <Spark values={wave} label="Requests" />
        <Spark values={wave} tone="bad" label="Failed" />
        <Spark values={wave} tone="slow" label="p95" />
        <Spark values={wave} tone="quiet" label="quiet" />
        <Spark values={[null, 1, null]} label="a lone point" />
        <Spark values={[]} label="nothing" />
        <Chip label="service" onClear={nothing}>
          payment
        </Chip>
      </div>
    </>
  )
}

function Opened() {
  return (
    <div
      ref={(el) => {
        const head = el?.querySelector<HTMLButtonElement>('.disclosure-head[aria-expanded=false]')
        head?.click()
      }}
    >
      <Disclosure summary="A head that is open">{() => <p>What is inside.</p>}</Disclosure>
    </div>
  )
}

export function Cards() {
  return (
    <>
      <PageHeader
        title="checkout"
        crumb={<a href="/">Services</a>}
        beside={<Status health="failing" />}
        sentence="fails 44 % of its calls, 0.2 % before"
        actions={
          <>
            <Button>Compare</Button>
            <Button variant="filled">Create alert</Button>
          </>
        }
      />
      <Section title="A section" note="in this time range" actions={<Button>Export</Button>}>
        <dl className="facts">
          <div>
            <dt>requests</dt>
            <dd>1.23K</dd>
          </div>
          <div>
            <dt>failed</dt>
            <dd className="bad">4.10 %</dd>
          </div>
          <div>
            <dt>p95</dt>
            <dd>180 ms</dd>
          </div>
        </dl>
      </Section>
      <div className="card" style={{ padding: 12 }}>
        A card
      </div>
      <Disclosure summary="A head that opens">{() => null}</Disclosure>
      <Opened />
    </>
  )
}

const values = { service: 'payment', kind: 'server', failed: '1' }

export function Forms() {
  const [word, setWord] = useState('ErrorsInService')
  return (
    <>
      <SearchForm label="Search" values={values} onSubmit={nothing}>
        <Field label="Service" name="service" value="payment" options={['payment', 'checkout']} />
        <Field label="Operation" name="operation" value="" placeholder="any" wide />
        <Choice
          label="Kind"
          name="kind"
          value="server"
          options={[
            ['', 'any'],
            ['server', 'server'],
          ]}
        />
        <FormCheck label="failed only" name="failed" value="1" checked />
      </SearchForm>
      <div className="catalogue-grid">
        <Text label="Name" hint="Shown in notifications." value={word} onChange={setWord} required />
        <Text label="Threshold" value="often" onChange={nothing} error="Give a number, such as 0.05." />
        <Text label="Written by" value="rules.yaml" onChange={nothing} readOnly />
        <Text label="Description" value="Payment fails more often than before." onChange={nothing} area />
        <Text label="Password" type="password" value="secret" onChange={nothing} />
        <Text label="Service" value="" placeholder="any service" options={['payment']} onChange={nothing} />
      </div>
      <div className="catalogue-row">
        <Check label="slow or failing only" checked onChange={nothing} />
        <Check label="hide idle" checked={false} onChange={nothing} />
        <Check label="disabled" checked={false} disabled onChange={nothing} />
        <Pick
          label="Receiver"
          value="pager"
          options={[
            ['pager', 'pager'],
            ['mail', 'mail'],
          ]}
          onChange={nothing}
        />
        <Pick label="Receiver of warnings" value="gone" options={[['gone', 'gone']]} error onChange={nothing} />
        <Pick label="Receiver of all" value="pager" options={[['pager', 'pager']]} disabled onChange={nothing} />
      </div>
    </>
  )
}
