import { Textarea } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import { Wrong } from '../components/text'
import { type Draft, ruleOf } from './draft'
import { draftOfYaml, yamlOf } from './yaml'

interface Props {
  draft: Draft
  onChange: (draft: Draft) => void
  readOnly: boolean
}

const keyOf = (d: Draft) => JSON.stringify(ruleOf(d))

/** The rule as YAML. What is typed goes into the fields as soon as it can be read; what changes elsewhere is written anew. */
export default function YamlView({ draft, onChange, readOnly }: Props) {
  const [text, setText] = useState(() => yamlOf(draft))
  const [wrong, setWrong] = useState<string>()
  const read = useRef(keyOf(draft))
  const key = keyOf(draft)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says when the fields were changed elsewhere
  useEffect(() => {
    if (key === read.current) return
    read.current = key
    setText(yamlOf(draft))
    setWrong(undefined)
  }, [key])
  const type = (t: string) => {
    setText(t)
    try {
      const d = draftOfYaml(t, draft)
      read.current = keyOf(d)
      setWrong(undefined)
      onChange(d)
    } catch (err) {
      setWrong((err as Error).message)
    }
  }
  return (
    <Textarea
      className="field rule-yaml"
      label="Rule as YAML"
      description="as in Prometheus' rule files; a file with one rule can be pasted"
      value={text}
      onChange={(e) => type(e.currentTarget.value)}
      readOnly={readOnly}
      spellCheck={false}
      rows={Math.min(30, Math.max(14, text.split('\n').length + 1))}
      error={wrong === undefined ? undefined : <Wrong text={wrong} />}
    />
  )
}
