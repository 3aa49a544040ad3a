import { Button, TextInput } from '@mantine/core'
import { Plus, X } from 'lucide-react'
import { Wrong } from '../components/text'
import { type Pair, pair } from './draft'

interface PairsProps {
  title: string
  of: Pair[]
  onChange: (pairs: Pair[]) => void
  error: string | undefined
  readOnly: boolean
  wide?: boolean
}

/** Labels or annotations of a rule. */
export function Pairs({ title, of, onChange, error, readOnly, wide = false }: PairsProps) {
  const put = (id: number, change: Partial<Pair>) => onChange(of.map((p) => (p.id === id ? { ...p, ...change } : p)))
  const one = title.toLowerCase().replace(/s$/, '')
  return (
    <fieldset className={wide ? 'pair-fields pair-wide' : 'pair-fields'}>
      <legend>{title}</legend>
      {of.map((p, i) => (
        <div key={p.id} className="pair">
          <TextInput
            aria-label={`Name of ${one} ${i + 1}`}
            value={p.key}
            readOnly={readOnly}
            placeholder="name"
            spellCheck={false}
            onChange={(e) => put(p.id, { key: e.currentTarget.value })}
          />
          <TextInput
            aria-label={`Value of ${p.key || `${one} ${i + 1}`}`}
            value={p.value}
            readOnly={readOnly}
            placeholder="value"
            onChange={(e) => put(p.id, { value: e.currentTarget.value })}
          />
          {!readOnly && (
            <Button aria-label={`Remove ${p.key || `${one} ${i + 1}`}`} onClick={() => onChange(of.filter((x) => x.id !== p.id))}>
              <X size={14} aria-hidden="true" />
            </Button>
          )}
        </div>
      ))}
      {!readOnly && (
        <Button leftSection={<Plus size={14} aria-hidden="true" />} onClick={() => onChange([...of, pair()])}>
          Add {one}
        </Button>
      )}
      <Wrong text={error} />
    </fieldset>
  )
}
