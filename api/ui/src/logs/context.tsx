import { Button } from '@mantine/core'
import { useState } from 'react'
import type { LogLine } from '../api/types'
import { MetaWarnings, Waiting } from '../components/bits'
import { Pick } from '../components/form'
import { absolute, timeOfDay } from '../lib/format'
import { instanceOf, severityOf, textOfLine } from './line'
import { useLogContext } from './queries'

const first = 10
const most = 200
const longest = 500

/** The lines around a line, oldest first. */
export function LineContext({ line }: { line: LogLine }) {
  const instance = instanceOf(line)
  const [scope, setScope] = useState<'instance' | 'service'>(instance === undefined ? 'service' : 'instance')
  const [lines, setLines] = useState(first)
  const around = useLogContext(line, lines, scope === 'instance')
  const data = around.data
  if (data === undefined) return <Waiting what="the lines around it" error={around.error} />
  const more = lines < most && (data.before.length === lines || data.after.length === lines)
  return (
    <div className="context">
      <div className="tools form">
        {instance !== undefined && (
          <Pick
            label="Lines of"
            value={scope}
            onChange={setScope}
            options={[
              ['instance', `the same ${instance.word}`],
              ['service', `all of ${line.service}`],
            ]}
          />
        )}
        {more && <Button onClick={() => setLines(Math.min(most, lines * 3))}>More lines</Button>}
      </div>
      <MetaWarnings meta={data.meta} />
      <ol aria-label="Lines around it">
        {data.before.map((l, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines may be equal, and their order is theirs
          <Around key={`b${i}`} line={l} />
        ))}
        <Around line={line} current />
        {data.after.map((l, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines may be equal, and their order is theirs
          <Around key={`a${i}`} line={l} />
        ))}
      </ol>
    </div>
  )
}

function Around({ line, current }: { line: LogLine; current?: true }) {
  return (
    <li aria-current={current}>
      <time dateTime={line.time} title={absolute(line.time)}>
        {timeOfDay(line.time)}
      </time>{' '}
      <span className={`sev sev-${severityOf(line.severity)}`}>{line.severity || 'none'}</span>{' '}
      <code className={`sev-${severityOf(line.severity)}`}>
        <bdi>{textOfLine(line).slice(0, longest)}</bdi>
      </code>
    </li>
  )
}
