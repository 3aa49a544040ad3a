import { type FormEvent, type ReactNode, useRef } from 'react'

interface Props<K extends string> {
  label: string
  values: Record<K, string>
  onSubmit: (values: Record<K, string>) => void
  children: ReactNode
  submit?: string
}

/** A form whose fields are the URL's parameters. Choosing applies at once, typing with Enter. */
export function SearchForm<K extends string>({ label, values, onSubmit, children, submit = 'Search' }: Props<K>) {
  const form = useRef<HTMLFormElement>(null)
  const send = (e: FormEvent) => {
    e.preventDefault()
    if (form.current === null) return
    const data = new FormData(form.current)
    onSubmit(Object.fromEntries(Object.keys(values).map((k) => [k, String(data.get(k) ?? '').trim()])) as Record<K, string>)
  }
  return (
    <search>
      <form
        ref={form}
        key={JSON.stringify(values)} // what the URL says is what the fields begin with
        className="tools form"
        aria-label={label}
        onSubmit={send}
        onChange={(e) => (e.target as HTMLElement).matches('select, [type=checkbox]') && form.current?.requestSubmit()}
      >
        {children}
        <button type="submit" className="button">
          {submit}
        </button>
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
  const list = options && options.length > 0 ? `${name}-options` : undefined
  return (
    <label className={wide ? 'field field-wide' : 'field'}>
      <span>{label}</span>
      <input
        type="search"
        name={name}
        defaultValue={value}
        placeholder={placeholder}
        list={list}
        data-filter={filter || undefined}
        spellCheck={false}
        autoComplete="off"
      />
      {list && (
        <datalist id={list}>
          {options?.map((o) => (
            <option key={o} value={o} />
          ))}
        </datalist>
      )}
    </label>
  )
}

export function Choice({ label, name, value, options }: { label: string; name: string; value: string; options: [string, string][] }) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name} defaultValue={value}>
        {options.map(([v, text]) => (
          <option key={v} value={v}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}
