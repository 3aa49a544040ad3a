import { Button } from '@mantine/core'
import { Check, Copy } from 'lucide-react'
import { useEffect, useMemo, useState } from 'react'
import { Section, Status, Waiting } from '../components/bits'
import { PageHeader } from '../components/page'
import { exact } from '../lib/format'
import { collectorConfig, senderConfig, stepsOf } from './collector'
import { useOnboarding } from './queries'
import './onboarding.css'

/** How a Collector sends data here, with steps that complete as it arrives. */
export function Onboarding({ onDone }: { onDone?: () => void }) {
  const { data, error } = useOnboarding()
  const steps = useMemo(() => data && stepsOf(data, exact), [data])
  const senders = data && senderConfig(data, window.location.hostname)
  const done = steps?.every((s) => s.done) ?? false
  const some = data?.topics.some((t) => t.received > 0) ?? false
  return (
    <>
      <PageHeader
        title="Connect a Collector"
        sentence={done ? 'Everything has arrived.' : 'WatchingCat reads the topics that OpenTelemetry Collectors write to.'}
        actions={
          onDone && (
            <Button variant={some ? 'filled' : 'default'} onClick={onDone}>
              Open the overview
            </Button>
          )
        }
      />
      {data === undefined || steps === undefined ? (
        <Waiting what="the state of this installation" error={error} />
      ) : (
        <>
          <ol className="steps" aria-label="Steps">
            {steps.map((s) => (
              <li key={s.id} data-done={s.done || undefined}>
                <Status health={s.done ? 'ok' : 'pending'} word={s.done ? 'done' : 'waiting'} />
                <div>
                  <h2>{s.title}</h2>
                  <p className="dim">
                    <bdi>{s.state}</bdi>
                  </p>
                  {!s.done && <p>{s.advice}</p>}
                </div>
              </li>
            ))}
          </ol>
          {senders !== undefined && (
            <Configuration
              title="Send OTLP to WatchingCat"
              note="to the receivers of this installation; tokens are not part of it"
              text={senders}
              more="WatchingCat answers a request when its broker has it."
            />
          )}
          {!data.embedded && (
            <Configuration
              title="Collector configuration"
              note="with the brokers and topics of this installation; passwords are not part of it"
              text={collectorConfig(data)}
              more="The broker addresses are those that WatchingCat uses; a Collector in another network may need others. Applications send OTLP to the Collector: set OTEL_EXPORTER_OTLP_ENDPOINT to its address."
            />
          )}
          {data.embedded && senders === undefined && (
            <p>No receiver is open. Set WATCHINGCAT_OTLP_GRPC_ADDR or WATCHINGCAT_OTLP_HTTP_ADDR, and start WatchingCat again.</p>
          )}
        </>
      )}
    </>
  )
}

function Configuration({ title, note, text, more }: { title: string; note: string; text: string; more: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const t = setTimeout(() => setCopied(false), 3_000)
    return () => clearTimeout(t)
  }, [copied])
  const Icon = copied ? Check : Copy
  return (
    <Section
      title={title}
      note={note}
      actions={
        <Button
          leftSection={<Icon size={14} aria-hidden="true" />}
          onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
        >
          {copied ? 'Copied' : 'Copy'}
        </Button>
      }
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard */}
      <pre className="onboarding-yaml" tabIndex={0}>
        {text}
      </pre>
      <p className="dim">{more}</p>
    </Section>
  )
}
