import { Kbd, TextInput } from '@mantine/core'

export function FilterBox({ value, onChange, label }: { value: string; onChange: (v: string) => void; label: string }) {
  return (
    <TextInput
      className="filter"
      size="xs"
      type="search"
      data-filter
      aria-label={label}
      placeholder={label}
      value={value}
      onChange={(e) => onChange(e.currentTarget.value)}
      rightSection={value === '' ? <Kbd size="xs">/</Kbd> : null}
      rightSectionPointerEvents="none"
      spellCheck={false}
      autoComplete="off"
    />
  )
}
