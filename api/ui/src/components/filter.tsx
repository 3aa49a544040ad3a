import { Kbd, TextInput } from '@mantine/core'
import { Search } from 'lucide-react'
import './form.css'

export function FilterBox({ value, onChange, label }: { value: string; onChange: (v: string) => void; label: string }) {
  return (
    <TextInput
      className="filter"
      type="search"
      data-filter
      aria-label={label}
      placeholder={label}
      value={value}
      onChange={(e) => onChange(e.currentTarget.value)}
      leftSection={<Search size={14} aria-hidden="true" />}
      rightSection={value === '' ? <Kbd size="xs">/</Kbd> : null}
      rightSectionPointerEvents="none"
      spellCheck={false}
      autoComplete="off"
    />
  )
}
