import { Fragment, type ReactNode } from 'react'

// A text of users: no HTML is made of it, only elements.

interface Block {
  kind: 'head' | 'list' | 'code' | 'text'
  level: number
  lines: string[]
}

/** Headings, lists, code and paragraphs of Markdown. */
export function blocksOf(text: string): Block[] {
  const out: Block[] = []
  const into = (kind: Block['kind'], line: string, level = 0) => {
    const last = out.at(-1)
    if (last !== undefined && last.kind === kind && kind !== 'head' && !ended) last.lines.push(line)
    else out.push({ kind, level, lines: [line] })
    ended = false
  }
  let ended = true
  let fenced = false
  for (const line of text.split('\n')) {
    if (/^\s*```/.test(line)) {
      fenced = !fenced
      ended = true
    } else if (fenced) into('code', line)
    else if (line.trim() === '') ended = true
    else {
      const head = /^(#{1,6})\s+(.*)$/.exec(line)
      const item = /^\s*(?:[-*+]|\d+[.)])\s+(.*)$/.exec(line)
      if (head) into('head', head[2] as string, (head[1] as string).length)
      else if (item) into('list', item[1] as string)
      else if (out.at(-1)?.kind === 'list' && !ended && /^\s/.test(line)) {
        const list = (out.at(-1) as Block).lines
        list[list.length - 1] += ` ${line.trim()}`
      } else into('text', line)
    }
  }
  return out
}

const inline = /`([^`]+)`|\*\*([^*]+)\*\*|__([^_]+)__|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g

/** A link that cannot run anything. */
const safe = (url: string): boolean => /^(https?:|mailto:|\/(?!\/)|#)/i.test(url)

function words(text: string): ReactNode[] {
  const out: ReactNode[] = []
  let at = 0
  for (const m of text.matchAll(inline)) {
    if (m.index > at) out.push(text.slice(at, m.index))
    at = m.index + m[0].length
    const key = m.index
    const [, code, bold, bold2, em, label, url] = m
    if (code !== undefined) out.push(<code key={key}>{code}</code>)
    else if (bold !== undefined || bold2 !== undefined) out.push(<b key={key}>{bold ?? bold2}</b>)
    else if (em !== undefined) out.push(<em key={key}>{em}</em>)
    else if (url !== undefined && safe(url))
      out.push(
        <a key={key} href={url} {...(/^https?:/i.test(url) ? { target: '_blank', rel: 'noreferrer' } : {})}>
          {label}
        </a>,
      )
    else out.push(m[0])
  }
  if (at < text.length) out.push(text.slice(at))
  return out
}

export function Markdown({ text }: { text: string }) {
  return (
    <div className="dash-text">
      {blocksOf(text).map((b, i) => {
        const key = `${i}`
        switch (b.kind) {
          case 'head':
            return <h3 key={key}>{words(b.lines[0] as string)}</h3>
          case 'list':
            return (
              <ul key={key}>
                {b.lines.map((l, j) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: items have no other name
                  <li key={`${j}`}>{words(l)}</li>
                ))}
              </ul>
            )
          case 'code':
            return <pre key={key}>{b.lines.join('\n')}</pre>
          default:
            return (
              <p key={key}>
                {b.lines.map((l, j) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other name
                  <Fragment key={`${j}`}>
                    {j > 0 && ' '}
                    {words(l)}
                  </Fragment>
                ))}
              </p>
            )
        }
      })}
    </div>
  )
}
