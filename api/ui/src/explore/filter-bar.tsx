import { Combobox, type ComboboxStore, useCombobox } from '@mantine/core'
import { ListFilter, X } from 'lucide-react'
import { useEffect, useId, useMemo, useRef, useState } from 'react'
import { Name } from '../components/name'
import { exact } from '../lib/format'
import type { Condition } from './conditions'
import { type Offer, offersOf, type Suggestions } from './offers'
import { parseTokens, same, stageOf, tokenText, withToken } from './tokens'
import './filter-bar.css'

interface Props {
  tokens: readonly Condition[]
  /** What is wrong with the tokens of the URL. */
  problem: string | undefined
  onChange: (tokens: Condition[]) => void
  suggestions: Suggestions
  /** Called with the key whose values are to be suggested. */
  onKey: (key: string) => void
}

/** All filters in one box. Each is a token; what is typed is completed by key, operator and value. */
export function FilterBar({ tokens, problem, onChange, suggestions, onKey }: Props) {
  const [text, setText] = useState('')
  const [wrong, setWrong] = useState<string>()
  const [edited, setEdited] = useState<Condition>()
  const input = useRef<HTMLInputElement>(null)
  const box = useCombobox({ onDropdownClose: () => box.resetSelectedOption() })
  const id = useId()
  const stage = useMemo(() => stageOf(text), [text])
  const offers = useMemo(() => offersOf(stage, suggestions), [stage, suggestions])
  const key = stage.at === 'value' ? stage.key : ''
  useEffect(() => onKey(key), [key, onKey])
  const hidden = offers.length === 0 && stage.at !== 'value'
  useFirst(box, offers, stage.at !== 'value' && text.trim() !== '')
  // Mantine's own attribute keeps naming an option that is gone.
  const [active, setActive] = useState<string>()
  const sync = () => setActive(document.getElementById(box.listId ?? '')?.querySelector('[data-combobox-selected]')?.id || undefined)
  // biome-ignore lint/correctness/useExhaustiveDependencies: other options, another active one
  useEffect(sync, [offers, box.dropdownOpened])
  const others = edited === undefined ? tokens : tokens.filter((t) => !same(t, edited))
  const write = (to: string) => {
    setText(to)
    setWrong(undefined)
    box.openDropdown()
  }
  const clear = () => {
    setText('')
    setEdited(undefined)
    setWrong(undefined)
  }
  const put = (list: readonly Condition[]) => {
    onChange(list.reduce((all: readonly Condition[], c) => withToken(all, c), others) as Condition[])
    clear()
  }
  const commit = () => {
    const found = parseTokens(text)
    if (found.problem !== undefined) setWrong(found.problem)
    else if (found.list.length > 0 || edited !== undefined) put(found.list)
    if (found.problem === undefined) box.closeDropdown()
  }
  const edit = (c: Condition) => {
    setEdited(c)
    write(tokenText(c))
    input.current?.focus()
  }
  const choose = (o: Offer | undefined) => {
    if (o === undefined) return
    if (typeof o.gives === 'string') write(o.gives)
    else put([o.gives])
    input.current?.focus()
  }
  const onKeyDown = (e: React.KeyboardEvent) => {
    const chosen = box.dropdownOpened && box.getSelectedOptionIndex() >= 0
    if (e.key === 'Enter' && !chosen) {
      e.preventDefault()
      commit()
    } else if (e.key === 'Backspace' && text === '' && others.length > 0) {
      e.preventDefault()
      edit(others.at(-1) as Condition)
    } else if (e.key === 'Escape') {
      if (box.dropdownOpened) box.closeDropdown()
      else if (text !== '') clear()
      else input.current?.blur()
    }
  }
  const said = wrong ?? problem
  const shown = box.dropdownOpened && !hidden
  return (
    <div className="filter-bar-field">
      <Combobox
        store={box}
        onOptionSubmit={(value) => choose(offers.find((o) => o.id === value))}
        position="bottom-start"
        offset={4}
        width={460}
      >
        <Combobox.DropdownTarget>
          <div className="filter-bar" data-wrong={said !== undefined || undefined}>
            <ListFilter size={14} aria-hidden="true" />
            {others.map((t) => (
              <Token key={tokenText(t)} token={t} onEdit={() => edit(t)} onRemove={() => onChange(tokens.filter((o) => o !== t))} />
            ))}
            <Combobox.EventsTarget withAriaAttributes={false}>
              <input
                ref={input}
                data-filter
                role="combobox"
                aria-label="Filters"
                aria-autocomplete="list"
                aria-expanded={shown}
                aria-controls={shown ? (box.listId ?? undefined) : undefined}
                aria-activedescendant={shown ? active : undefined}
                onKeyUp={sync}
                aria-invalid={said !== undefined}
                aria-describedby={said === undefined ? undefined : id}
                placeholder={tokens.length === 0 ? 'Filter by service, status, duration or any attribute' : 'Add a filter'}
                value={text}
                spellCheck={false}
                autoComplete="off"
                onChange={(e) => write(e.currentTarget.value)}
                onClick={() => box.openDropdown()}
                onBlur={() => {
                  box.closeDropdown()
                  if (edited !== undefined && text === tokenText(edited)) clear()
                }}
                onKeyDown={onKeyDown}
                onPaste={(e) => {
                  const found = parseTokens(e.clipboardData.getData('text'))
                  if (text !== '' || found.problem !== undefined || !found.list.some((c) => c.op !== '')) return
                  e.preventDefault()
                  put(found.list)
                }}
              />
            </Combobox.EventsTarget>
            {tokens.length > 0 && (
              <button
                type="button"
                className="filter-clear"
                aria-label="Remove all filters"
                title="Remove all filters"
                onClick={() => onChange([])}
              >
                <X size={14} aria-hidden="true" />
              </button>
            )}
          </div>
        </Combobox.DropdownTarget>
        <Combobox.Dropdown hidden={hidden}>
          <Combobox.Options className="filter-offers" aria-label="Suggestions">
            {offers.map((o) => (
              <Combobox.Option key={o.id} value={o.id}>
                <span className="filter-offer">
                  <Name of={o.label} />
                  <span className="dim">{o.note}</span>
                  {o.count !== undefined && <span className="dim filter-count">{exact(o.count)}</span>}
                </span>
              </Combobox.Option>
            ))}
            {offers.length === 0 && (
              <Combobox.Empty>
                {suggestions.loading ? 'Loading values…' : 'No value of this range matches. Enter adds the filter as typed.'}
              </Combobox.Empty>
            )}
          </Combobox.Options>
        </Combobox.Dropdown>
      </Combobox>
      {said !== undefined && (
        <p id={id} className="filter-problem" role="alert">
          {said}
        </p>
      )}
    </div>
  )
}

/** While a key or an operator is typed, Enter takes the first one that is offered. */
function useFirst(box: ComboboxStore, offers: readonly Offer[], select: boolean) {
  const { selectFirstOption, resetSelectedOption } = box
  const ids = offers.map((o) => o.id).join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: other options, another first one
  useEffect(() => {
    if (select) selectFirstOption()
    else resetSelectedOption()
  }, [ids, select, selectFirstOption, resetSelectedOption])
}

function Token({ token: t, onEdit, onRemove }: { token: Condition; onEdit: () => void; onRemove: () => void }) {
  return (
    <span className="token">
      <button type="button" className="token-text" title={`Edit ${tokenText(t)}`} onClick={onEdit}>
        <span className="dim">{t.key}</span> {t.op === '' ? 'exists' : t.op} {t.op !== '' && <Name of={t.value === '' ? '""' : t.value} />}
      </button>
      <button type="button" className="token-remove" aria-label={`Without ${tokenText(t)}`} onClick={onRemove}>
        <X size={13} aria-hidden="true" />
      </button>
    </span>
  )
}
