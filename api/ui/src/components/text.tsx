import { Autocomplete, Textarea, TextInput } from '@mantine/core'
import type { ReactNode } from 'react'
import { Status } from './bits'
import './form.css'

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
export function Text(props: TextProps) {
  const { label, hint, value, onChange, error, readOnly = false, required = false, area = false, placeholder, options } = props
  const common = {
    className: 'field',
    label,
    description: hint,
    value,
    readOnly,
    required,
    withAsterisk: false,
    placeholder,
    spellCheck: false,
    autoComplete: props.autoComplete ?? 'off',
    autoFocus: props.autoFocus ?? false,
    error: error === undefined ? undefined : <Wrong text={error} />,
  }
  if (area) {
    const rows = Math.min(8, Math.max(3, Math.ceil(value.length / 90)))
    return <Textarea {...common} rows={rows} onChange={(e) => onChange(e.currentTarget.value)} />
  }
  if (options) return <Autocomplete {...common} data={[...new Set(options)].filter(Boolean)} limit={50} onChange={onChange} />
  return <TextInput {...common} type={props.type ?? 'text'} onChange={(e) => onChange(e.currentTarget.value)} />
}

export function Wrong({ text }: { text: string | undefined }): ReactNode {
  if (text === undefined) return null
  return (
    <span className="wrong" role="alert">
      <Status health="firing" word={text} />
    </span>
  )
}
