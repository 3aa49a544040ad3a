import { Autocomplete, Button, Checkbox, Select, TextInput } from '@mantine/core'
import { Search } from 'lucide-react'
import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useRef } from 'react'
import './form.css'

interface Props<K extends string> {
  label: string
  values: Record<K, string>
  onSubmit: (values: Record<K, string>) => void
  children: ReactNode
  submit?: string
}

const Submit = createContext(() => {})

/** A form whose fields are the URL's parameters. Choosing applies at once, typing with Enter. */
export function SearchForm<K extends string>({ label, values, onSubmit, children, submit = 'Search' }: Props<K>) {
  const form = useRef<HTMLFormElement>(null)
  const send = (e: FormEvent) => {
    e.preventDefault()
    if (form.current === null) return
    const data = new FormData(form.current)
    onSubmit(Object.fromEntries(Object.keys(values).map((k) => [k, String(data.get(k) ?? '').trim()])) as Record<K, string>)
  }
  // After the field that was chosen in has its value.
  const soon = useCallback(() => setTimeout(() => form.current?.requestSubmit(), 0), [])
  return (
    <search>
      <form
        ref={form}
        key={JSON.stringify(values)} // what the URL says is what the fields begin with
        className="tools form"
        aria-label={label}
        onSubmit={send}
      >
        <Submit value={soon}>{children}</Submit>
        <Button type="submit" leftSection={<Search size={14} aria-hidden="true" />}>
          {submit}
        </Button>
      </form>
    </search>
  )
}

interface FieldProps {
  label: string
  name: string
  value: string
  placeholder?: string
  options?: readonly string[]
  wide?: boolean
  filter?: boolean
}

/** A text field, with suggestions where there are some. */
export function Field({ label, name, value, placeholder, options, wide, filter }: FieldProps) {
  const submit = useContext(Submit)
  const common = {
    className: wide ? 'field field-wide' : 'field',
    label,
    name,
    defaultValue: value,
    placeholder,
    'data-filter': filter || undefined,
    spellCheck: false,
    autoComplete: 'off',
  }
  if (!options || options.length === 0) return <TextInput {...common} />
  return <Autocomplete {...common} data={[...new Set(options)].filter(Boolean)} limit={50} onOptionSubmit={submit} />
}

interface ChoiceProps {
  label: string
  name: string
  value: string
  options: [string, string][]
}

export function Choice({ label, name, value, options }: ChoiceProps) {
  const submit = useContext(Submit)
  return (
    <Select
      className="field"
      label={label}
      name={name}
      defaultValue={value}
      data={options.map(([v, text]) => ({ value: v, label: text }))}
      allowDeselect={false}
      onChange={submit}
    />
  )
}

/** A choice that applies at once, outside of forms. */
export function Pick<V extends string>({ label, hidden, value, options, onChange, error, disabled }: PickProps<V>) {
  return (
    <Select
      className="field"
      {...(hidden ? { 'aria-label': label } : { label })}
      value={value}
      data={options.map(([v, text]) => ({ value: v, label: text }))}
      allowDeselect={false}
      onChange={(v) => v !== null && onChange(v as V)}
      error={error}
      disabled={disabled ?? false}
    />
  )
}

interface PickProps<V extends string> {
  label: string
  /** The label is for screen readers only. */
  hidden?: boolean
  value: V
  options: readonly (readonly [V, string])[]
  onChange: (value: V) => void
  error?: boolean
  disabled?: boolean
}

interface CheckProps {
  label: ReactNode
  checked: boolean
  onChange: (checked: boolean) => void
  disabled?: boolean
}

export function Check({ label, checked, onChange, disabled }: CheckProps) {
  return (
    <Checkbox
      className="check"
      label={label}
      checked={checked}
      disabled={disabled ?? false}
      onChange={(e) => onChange(e.currentTarget.checked)}
    />
  )
}

/** A switch of a SearchForm: on, its parameter has the value. */
export function FormCheck({ label, name, value, checked }: { label: string; name: string; value: string; checked: boolean }) {
  const submit = useContext(Submit)
  return <Checkbox className="check" label={label} name={name} value={value} defaultChecked={checked} onChange={submit} />
}
