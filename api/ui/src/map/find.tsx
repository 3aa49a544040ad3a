import { Autocomplete } from '@mantine/core'
import { LocateFixed } from 'lucide-react'
import { memo, useMemo, useState } from 'react'
import { visible } from '../lib/visible'
import type { GraphNode } from './graph'

/** Finds a service, database or peer by its name and brings it into the middle. */
export const FindBox = memo(function FindBox({ nodes, onFind }: { nodes: readonly GraphNode[]; onFind: (n: GraphNode) => void }) {
  const [text, setText] = useState('')
  const names = useMemo(() => [...new Set(nodes.map((n) => visible(n.label)))].sort(), [nodes])
  const find = (name: string) => {
    const found = nodes.find((n) => visible(n.label) === name)
    if (found === undefined) return
    setText('')
    onFind(found)
  }
  return (
    <Autocomplete
      className="filter"
      aria-label="Find on the map"
      placeholder="Find on the map"
      data={names}
      limit={30}
      value={text}
      onChange={setText}
      onOptionSubmit={(name) => {
        find(name)
        setTimeout(() => setText(''), 0) // after the field has taken the name
      }}
      selectFirstOptionOnChange
      renderOption={({ option }) => <bdi>{option.value}</bdi>}
      leftSection={<LocateFixed size={14} aria-hidden="true" />}
      spellCheck={false}
      autoComplete="off"
    />
  )
})
