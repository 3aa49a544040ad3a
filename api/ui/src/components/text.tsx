import { type ReactNode, useId } from 'react'
import { Status } from './bits'

interface TextProps {
  label: string
  hint?: string
  value: string
  onChange: (value: string) => void
  error?: string | undefined
  readOnly?: boolean
  required?: boolean
  area?: boolean
  placeholder?: string
  options?: readonly string[]
  type?: 'text' | 'password'
  autoComplete?: string
  autoFocus?: boolean
}

/** A text field that says at itself what is wrong with it. */
export function Text({
  label,
  hint,
  value,
  onChange,
  error,
  readOnly = false,
  required = false,
  area = false,
  placeholder,
  options,
  type = 'text',
  autoComplete = 'off',
  autoFocus = false,
}: TextProps) {
  const id = useId()
  const common = {
    id,
    value,
    readOnly,
    required,
    placeholder,
    spellCheck: false,
    autoComplete,
    autoFocus,
    'aria-invalid': error !== undefined || undefined,
    'aria-describedby': error === undefined ? undefined : `${id}-error`,
  }
  return (
    <div className="field">
      <span>
        <label htmlFor={id}>{label}</label> {hint && <span className="hint">{hint}</span>}
      </span>
      {area ? (
        <textarea {...common} rows={Math.min(8, Math.max(3, Math.ceil(value.length / 90)))} onChange={(e) => onChange(e.target.value)} />
      ) : (
        <input type={type} {...common} list={options && `${id}-options`} onChange={(e) => onChange(e.target.value)} />
      )}
      {options && (
        <datalist id={`${id}-options`}>
          {options.map((o) => (
            <option key={o} value={o} />
          ))}
        </datalist>
      )}
      <Wrong id={`${id}-error`} text={error} />
    </div>
  )
}

export function Wrong({ id, text }: { id?: string; text: string | undefined }): ReactNode {
  if (text === undefined) return null
  return (
    <span className="wrong" id={id} role="alert">
      <Status health="firing" word={text} />
    </span>
  )
}
