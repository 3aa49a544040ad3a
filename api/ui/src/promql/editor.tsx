import { lazy, Suspense, useId } from 'react'
import { Wrong } from '../components/text'
import { stubborn } from '../lib/lazy'
import type { EditorProps } from './codemirror'
import { placeOf } from './queries'
import '../components/form.css'
import './editor.css'

// It is large, so it is loaded where it is used only.
const CodeMirror = lazy(() => stubborn(() => import('./codemirror')))

interface Props extends Omit<EditorProps, 'describedBy'> {
  hint?: string
  /** The label is for screen readers only. */
  bare?: boolean
}

/** A field for PromQL. Until the editor is loaded its text is shown. */
export function PromQLField({ hint, bare = false, ...props }: Props) {
  const id = useId()
  const words = props.error === undefined ? undefined : placeOf(props.error, props.value).words
  return (
    <div className="field pq-field">
      {!bare && (
        <span className="field-label" aria-hidden="true">
          {props.label}
          {hint && <span className="hint">{hint}</span>}
        </span>
      )}
      <div className="pq-box" data-wrong={props.error !== undefined || undefined} data-fixed={props.readOnly || undefined}>
        <Suspense fallback={<pre className="pq-waiting">{props.value || ' '}</pre>}>
          <CodeMirror {...props} describedBy={words === undefined ? undefined : id} />
        </Suspense>
      </div>
      <span id={id}>
        <Wrong text={words} />
      </span>
    </div>
  )
}
