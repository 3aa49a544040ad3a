import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { type Diagnostic, forceLinting, linter, lintKeymap } from '@codemirror/lint'
import { Annotation, Compartment, EditorState, Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder as placeholderOf } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'
import { useEffect, useRef } from 'react'
import { StyleModule } from 'style-mod'
import { placeOf, prefix } from './queries'
import './editor.css'

// CodeMirror would add style elements, which the content security policy forbids: its rules are adopted instead.
const adopted = new WeakMap<StyleModule, CSSStyleSheet>()
StyleModule.mount = (_root: unknown, modules: StyleModule | readonly StyleModule[]) => {
  for (const m of [modules].flat() as StyleModule[]) {
    if (adopted.has(m)) continue
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(m.getRules())
    adopted.set(m, sheet)
    document.adoptedStyleSheets.push(sheet)
  }
}

const colors = syntaxHighlighting(
  HighlightStyle.define([
    { tag: tags.keyword, class: 'pq-word' },
    { tag: tags.modifier, class: 'pq-word' },
    { tag: [tags.function(tags.variableName), tags.operatorKeyword], class: 'pq-function' },
    { tag: tags.labelName, class: 'pq-label' },
    { tag: tags.string, class: 'pq-string' },
    { tag: tags.number, class: 'pq-number' },
    { tag: tags.comment, class: 'pq-comment' },
  ]),
)

/**
 * Text typed over a selection. Left to the browser, it would keep the look of what was selected with a style attribute, which the
 * content security policy forbids.
 */
const overSelection = EditorView.domEventHandlers({
  beforeinput: (e, v) => {
    const chosen = document.getSelection()
    if (e.inputType !== 'insertText' || e.data === null || !chosen?.rangeCount || v.composing || v.state.readOnly) return false
    const range = chosen.getRangeAt(0)
    if (range.collapsed || !v.contentDOM.contains(range.commonAncestorContainer)) return false
    const from = v.posAtDOM(range.startContainer, range.startOffset)
    const to = v.posAtDOM(range.endContainer, range.endOffset)
    const text = e.data
    const insert = () =>
      v.state.update({
        changes: { from, to, insert: text },
        selection: { anchor: from + text.length },
        userEvent: 'input.type',
        scrollIntoView: true,
      })
    if (!v.state.facet(EditorView.inputHandler).some((h) => h(v, from, to, text, insert))) v.dispatch(insert())
    return true
  },
})

/** From outside, not typed. */
const given = Annotation.define<boolean>()

export interface EditorProps {
  label: string
  value: string
  onChange: (value: string) => void
  /** With Enter; Shift and Enter begins a line. Without it, Enter does. */
  onRun?: () => void
  /** What the server said about this text. */
  error?: string | undefined
  describedBy?: string | undefined
  placeholder?: string | undefined
  readOnly?: boolean
}

const promql = new PromQLExtension().setComplete({
  remote: {
    apiPrefix: prefix,
    httpMethod: 'GET',
    // The server has no flags to offer.
    fetchFn: (input, init) =>
      String(input).includes('/status/flags')
        ? Promise.resolve(new Response('{"status":"success","data":{}}'))
        : fetch(input, { ...init, headers: { Accept: 'application/json', 'X-Requested-With': 'page' } }),
  },
  maxMetricsMetadata: 20_000,
})

/** An editor for PromQL: colours, brackets, completion from the server's names, errors at their place. */
export default function CodeMirrorEditor(props: EditorProps) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const latest = useRef(props)
  latest.current = props
  const changing = useRef(new Compartment())
  const { value, error, label, readOnly = false, placeholder, describedBy } = props

  useEffect(() => {
    if (host.current === null) return
    const run = (v: EditorView) => {
      if (latest.current.onRun === undefined || completionStatus(v.state) === 'active') return false
      latest.current.onRun()
      return true
    }
    const told = (v: EditorView): Diagnostic[] => {
      const { error: said, value: of } = latest.current
      if (said === undefined || v.state.doc.toString() !== of || of === '') return []
      const { at, words } = placeOf(said, of)
      const from = Math.min(at, of.length - 1)
      return [{ from, to: from + 1, severity: 'error', message: words }]
    }
    const v = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          colors,
          overSelection,
          EditorView.lineWrapping,
          promql.asExtension(),
          linter(told, { delay: 0 }),
          Prec.highest(
            keymap.of([
              { key: 'Enter', run },
              { key: 'Mod-Enter', run },
              {
                key: 'Shift-Enter',
                run: (w) => latest.current.onRun !== undefined && w.dispatch(w.state.replaceSelection('\n')) === undefined,
              },
            ]),
          ),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
          changing.current.of([]),
          EditorView.updateListener.of((u) => {
            if (u.docChanged && !u.transactions.some((t) => t.annotation(given))) latest.current.onChange(u.state.doc.toString())
          }),
        ],
      }),
    })
    view.current = v
    return () => {
      v.destroy()
      view.current = null
    }
  }, [])

  useEffect(() => {
    view.current?.dispatch({
      effects: changing.current.reconfigure([
        EditorState.readOnly.of(readOnly),
        placeholder ? placeholderOf(placeholder) : [],
        EditorView.contentAttributes.of({
          'aria-label': label,
          'aria-multiline': 'true',
          spellcheck: 'false',
          ...(error === undefined ? {} : { 'aria-invalid': 'true' }),
          ...(describedBy ? { 'aria-describedby': describedBy } : {}),
          ...(readOnly ? { 'aria-readonly': 'true' } : {}),
        }),
      ]),
    })
    if (view.current) forceLinting(view.current)
  }, [label, readOnly, placeholder, error, describedBy])

  useEffect(() => {
    const v = view.current
    if (v === null || v.state.doc.toString() === value) return
    const [from, to, insert] = changedPart(v.state.doc.toString(), value)
    v.dispatch({ changes: { from, to, insert }, annotations: given.of(true) })
  }, [value])

  return <div className="pq-host" ref={host} />
}

/** The smallest change from one text to the other, so that the cursor stays where it is. */
function changedPart(a: string, b: string): [number, number, string] {
  let from = 0
  while (from < a.length && from < b.length && a[from] === b[from]) from++
  let end = 0
  while (end < a.length - from && end < b.length - from && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return [from, a.length - end, b.slice(from, b.length - end)]
}
