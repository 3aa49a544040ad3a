import { memo, useMemo, useState } from 'react'
import { useCopy } from './copy'
import { groupStack, parseStack, type StackLine } from './stack'
import './stack.css'

/** A stack trace line by line. Frames of libraries are folded. */
export const StackTrace = memo(function StackTrace({ stack }: { stack: string }) {
  const groups = useMemo(() => groupStack(parseStack(stack)), [stack])
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set())
  const [copied, copy] = useCopy()
  return (
    <div className="tv-stack">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <pre tabIndex={0}>
        {groups.map((g, i) =>
          g.folded && !open.has(i) ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: the groups of a stack do not change
            <button key={i} type="button" className="tv-stack-more" onClick={() => setOpen(new Set(open).add(i))}>
              {framesIn(g.lines)} frames of libraries
            </button>
          ) : (
            // biome-ignore lint/suspicious/noArrayIndexKey: the groups of a stack do not change
            <span key={i}>
              {g.lines.map((l, k) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: lines may be equal
                <span key={k} className={`tv-stack-line tv-stack-${l.kind}${l.library ? ' tv-stack-library' : ''}`}>
                  {`${l.text}\n`}
                </span>
              ))}
            </span>
          ),
        )}
      </pre>
      <button type="button" className="tv-btn" onClick={() => copy(stack)}>
        {copied === undefined ? 'Copy stack trace' : 'Copied'}
      </button>
    </div>
  )
})

/** Go and Python write a frame on two lines or more. */
const framesIn = (lines: readonly StackLine[]): number =>
  lines.filter((l) => !/^\t\S|^ {4,}(?!at )/.test(l.text) || /^\s*at /.test(l.text)).length
