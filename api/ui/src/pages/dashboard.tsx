import { ActionIcon, Button, Menu } from '@mantine/core'
import { ArrowLeft, ArrowRight, Copy, Download, EllipsisVertical, Minus, Pencil, Plus, Trash2 } from 'lucide-react'
import { type ReactNode, useMemo, useState } from 'react'
import { Link, useLocation, useParams, useSearchParams } from 'wouter'
import type { Dashboard, DashboardInput, DashboardPanel } from '../api/types'
import { fileName } from '../chart/png'
import { Problem, Status, Waiting } from '../components/bits'
import { PageHeader } from '../components/page'
import { Text } from '../components/text'
import { Chooser } from '../dash/chooser'
import { fileOf } from '../dash/file'
import { newPanel, PanelForm } from '../dash/panel-form'
import { PanelView } from '../dash/panel-view'
import { dashboardPath, inputOf, useDashboard, useDashboardAction, useDashboards } from '../dash/queries'
import { type Chosen, scopeOf, valuesOf } from '../dash/variables'
import { VariablesForm } from '../dash/variables-form'
import { useDenied } from '../identity/may'
import { download } from '../lib/download'
import { useHref, useParam, useRange } from '../lib/url'
import '../promql/promql.css'
import '../alert/rule.css'
import '../dash/dash.css'

export default function DashboardPage() {
  const { id = '' } = useParams<{ id: string }>()
  const { data, error } = useDashboard(id)
  const href = useHref()
  const crumb = <Link href={href('/dashboards')}>Dashboards</Link>
  if (data === undefined)
    return (
      <>
        <PageHeader crumb={crumb} title="Dashboard" />
        <Waiting what="the dashboard" error={error} />
      </>
    )
  return <Board key={data.body.id} of={data.body} tag={data.tag} crumb={crumb} />
}

/** One dashboard, as it is read and as it is edited. */
function Board({ of, tag, crumb }: { of: Dashboard; tag: string; crumb: ReactNode }) {
  const [edit, setEdit] = useParam('edit')
  const [draft, setDraft] = useState<DashboardInput>(() => inputOf(of))
  // The version that the draft was made of: another that is stored meanwhile is not overwritten.
  const [base, setBase] = useState(tag)
  const [open, setOpen] = useState<number>()
  const action = useDashboardAction()
  const denied = useDenied('editor') ?? (of.example ? 'The example cannot be changed. Save a copy and change that.' : undefined)
  const editing = edit !== '' && denied === undefined
  const shown: DashboardInput = editing ? draft : inputOf(of)
  const begin = () => {
    setDraft(inputOf(of))
    setBase(tag)
    setEdit('1')
  }
  const end = () => {
    setOpen(undefined)
    action.reset()
    setEdit('')
  }
  return (
    <>
      <PageHeader
        crumb={crumb}
        title={<bdi>{shown.title}</bdi>}
        sentence={shown.description}
        actions={
          editing ? (
            <>
              <Button onClick={end}>Discard</Button>
              <Button
                variant="filled"
                disabled={action.isPending}
                onClick={() => action.mutate({ do: 'update', id: of.id, dashboard: cleaned(draft), tag: base }, { onSuccess: end })}
              >
                Save
              </Button>
            </>
          ) : (
            <Actions of={of} denied={denied} onEdit={begin} />
          )
        }
      />
      {action.error && <Problem error={action.error} />}
      <Grid board={shown} editing={editing} onChange={setDraft} open={open} setOpen={setOpen} />
    </>
  )
}

/** Without expressions that were never written. */
function cleaned(d: DashboardInput): DashboardInput {
  return {
    ...d,
    variables: (d.variables ?? []).map((v) => (v.values ? { ...v, values: v.values.map((x) => x.trim()).filter(Boolean) } : v)),
    panels: (d.panels ?? []).map((p) => ({ ...p, queries: (p.queries ?? []).filter((q) => q.expr.trim() !== '') })),
  }
}

function Actions({ of, denied, onEdit }: { of: Dashboard; denied: string | undefined; onEdit: () => void }) {
  const { mutate, error, isPending } = useDashboardAction()
  const mayNot = useDenied('editor')
  const [, navigate] = useLocation()
  const href = useHref()
  return (
    <>
      {error && <Problem error={error} />}
      <Button
        leftSection={<Copy size={14} aria-hidden="true" />}
        disabled={mayNot !== undefined || isPending}
        title={mayNot}
        onClick={() =>
          mutate(
            { do: 'create', dashboard: { ...inputOf(of), title: `${of.title.replace(/ \(example\)$/, '')} (copy)` } },
            { onSuccess: (d) => d && navigate(href(dashboardPath(d.id), { edit: '1' })) },
          )
        }
      >
        Save a copy
      </Button>
      <Button
        leftSection={<Download size={14} aria-hidden="true" />}
        onClick={() => download(fileName(of.title, 'json'), fileOf(of), 'application/json')}
      >
        Export
      </Button>
      <Button leftSection={<Pencil size={14} aria-hidden="true" />} disabled={denied !== undefined} title={denied} onClick={onEdit}>
        Edit
      </Button>
    </>
  )
}

interface GridProps {
  board: DashboardInput
  editing: boolean
  onChange: (to: DashboardInput) => void
  open: number | undefined
  setOpen: (at: number | undefined) => void
}

function Grid({ board, editing, onChange, open, setOpen }: GridProps) {
  const [range] = useRange()
  const [params, setParams] = useSearchParams()
  const [offered, setOffered] = useState<Record<string, readonly string[]>>({})
  const { data: list } = useDashboards(editing)
  const variables = useMemo(() => (board.variables ?? []).filter((v) => v.name !== ''), [board.variables])
  const chosen: Chosen = Object.fromEntries(variables.map((v) => [v.name, valuesOf(v, params.getAll(`var-${v.name}`), offered[v.name])]))
  const key = JSON.stringify(chosen)
  const scope = useMemo(() => scopeOf(variables, JSON.parse(key) as Chosen, range), [variables, key, range])
  const choose = (name: string, values: readonly string[]) =>
    setParams((p) => {
      const next = new URLSearchParams(p)
      next.delete(`var-${name}`)
      for (const v of values) next.append(`var-${name}`, v)
      return next
    })
  const panels = board.panels ?? []
  const put = (to: DashboardPanel[]) => onChange({ ...board, panels: to })
  const set = (at: number, p: DashboardPanel) => put(panels.map((o, i) => (i === at ? p : o)))
  const add = (p: DashboardPanel) => {
    put([...panels, p])
    setOpen(panels.length)
  }
  const most = list?.limits
  const full = most !== undefined && panels.length >= most.panels
  return (
    <>
      {editing && (
        <div className="dash-settings">
          <div className="row">
            <Text label="Title" value={board.title} onChange={(title) => onChange({ ...board, title })} />
            <Text label="Description" value={board.description ?? ''} onChange={(description) => onChange({ ...board, description })} />
          </div>
          <VariablesForm
            variables={board.variables ?? []}
            most={most?.variables ?? 20}
            onChange={(v) => onChange({ ...board, variables: v })}
          />
          <div className="tools">
            <Button leftSection={<Plus size={14} aria-hidden="true" />} disabled={full} onClick={() => add(newPanel)}>
              Add panel
            </Button>
            {most && (
              <span className="dim">{`${panels.length} of ${most.panels} panels, ${size(board)} of ${Math.round(most.bytes / 1024)} KiB`}</span>
            )}
          </div>
        </div>
      )}
      {variables.length > 0 && (
        <fieldset className="dash-choose" aria-label="Variables">
          {variables.map((v) => (
            <Chooser
              key={v.name}
              variable={v}
              values={chosen[v.name] ?? []}
              scope={scope}
              range={range}
              onChange={(to) => choose(v.name, to)}
              onOffered={(values) => setOffered((o) => ({ ...o, [v.name]: values }))}
            />
          ))}
        </fieldset>
      )}
      {panels.length === 0 && (
        <p className="quiet">
          <Status health="nodata" word={editing ? 'No panels yet. Add one.' : 'This dashboard has no panels.'} />
        </p>
      )}
      <div className="dash-grid">
        {panels.map((p, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: panels have no other name
          <div key={i} className="dash-cell" style={{ '--width': p.type === 'row' ? 12 : p.width } as React.CSSProperties}>
            {editing && open === i ? (
              <PanelForm panel={p} scope={scope} range={range} onChange={(to) => set(i, to)} onDone={() => setOpen(undefined)} />
            ) : (
              <PanelView
                panel={p}
                scope={scope}
                range={range}
                tools={editing && <PanelTools at={i} panels={panels} put={put} full={full} onEdit={() => setOpen(i)} />}
              />
            )}
          </div>
        ))}
      </div>
    </>
  )
}

const size = (b: DashboardInput): string => (new Blob([JSON.stringify(b)]).size / 1024).toFixed(1)

interface ToolsProps {
  at: number
  panels: DashboardPanel[]
  put: (to: DashboardPanel[]) => void
  full: boolean
  onEdit: () => void
}

/** What changes a panel in its place. */
function PanelTools({ at, panels, put, full, onEdit }: ToolsProps) {
  const p = panels[at] as DashboardPanel
  const name = p.title || `panel ${at + 1}`
  const moved = (to: number) => {
    const next = panels.filter((_, i) => i !== at)
    next.splice(to, 0, p)
    put(next)
  }
  const resized = (by: number) => put(panels.map((o, i) => (i === at ? { ...o, width: Math.min(12, Math.max(1, o.width + by)) } : o)))
  const button = (label: string, icon: ReactNode, disabled: boolean, act: () => void) => (
    <ActionIcon variant="subtle" color="gray" size={24} aria-label={`${label} ${name}`} title={label} disabled={disabled} onClick={act}>
      {icon}
    </ActionIcon>
  )
  return (
    <span className="dash-tools">
      {button('Edit', <Pencil size={14} aria-hidden="true" />, false, onEdit)}
      {button('Move back', <ArrowLeft size={14} aria-hidden="true" />, at === 0, () => moved(at - 1))}
      {button('Move on', <ArrowRight size={14} aria-hidden="true" />, at === panels.length - 1, () => moved(at + 1))}
      <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" size={24} aria-label={`Change ${name}`} title="Change">
            <EllipsisVertical size={14} aria-hidden="true" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {p.type !== 'row' && (
            <>
              <Menu.Item closeMenuOnClick={false} leftSection={<Plus size={14} />} disabled={p.width === 12} onClick={() => resized(1)}>
                Wider
              </Menu.Item>
              <Menu.Item closeMenuOnClick={false} leftSection={<Minus size={14} />} disabled={p.width === 1} onClick={() => resized(-1)}>
                Narrower
              </Menu.Item>
            </>
          )}
          <Menu.Item
            leftSection={<Copy size={14} />}
            disabled={full}
            onClick={() => put([...panels.slice(0, at + 1), { ...p }, ...panels.slice(at + 1)])}
          >
            Duplicate
          </Menu.Item>
          <Menu.Item leftSection={<Trash2 size={14} />} onClick={() => put(panels.filter((_, i) => i !== at))}>
            Remove
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </span>
  )
}
