import { Button } from '@mantine/core'
import { Plus, Upload } from 'lucide-react'
import { useMemo, useState } from 'react'
import { Link, useLocation } from 'wouter'
import type { DashboardHeader } from '../api/types'
import { Ago, Problem, Section, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { PageHeader } from '../components/page'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { ImportForm } from '../dash/import'
import { dashboardPath, useDashboardAction, useDashboards } from '../dash/queries'
import { useDenied } from '../identity/may'
import { bytes, exact } from '../lib/format'
import { useHref } from '../lib/url'
import '../alert/rule.css'
import '../dash/dash.css'

function columnsOf(remove: (id: string) => void, busy: boolean, denied: string | undefined): Column<DashboardHeader>[] {
  return [
    { id: 'title', label: 'Dashboard', className: 'c-dash', sort: (d) => d.title.toLowerCase(), cell: (d) => <Title of={d} /> },
    { id: 'panels', label: 'Panels', numeric: true, sort: (d) => d.panels, cell: (d) => exact(d.panels) },
    { id: 'bytes', label: 'Size', numeric: true, wide: true, sort: (d) => d.bytes, cell: (d) => bytes(d.bytes) },
    {
      id: 'updated',
      label: 'Changed',
      wide: true,
      sort: (d) => d.updated_at ?? '',
      cell: (d) => (
        <>
          <Ago time={d.updated_at} /> {d.updated_by && <span className="dim">by {d.updated_by}</span>}
        </>
      ),
    },
    {
      id: 'do',
      label: 'Change',
      className: 'c-do',
      cell: (d) => !d.example && <Sure word="Delete" sure="Really delete" disabled={busy} denied={denied} onSure={() => remove(d.id)} />,
    },
  ]
}

function Title({ of: d }: { of: DashboardHeader }) {
  const href = useHref()
  return (
    <>
      <Link href={href(dashboardPath(d.id))} className="name" data-row-link>
        <bdi>{d.title}</bdi>
      </Link>{' '}
      <span className="dim">{d.description}</span>
    </>
  )
}

/** All dashboards; a new one; an import. */
export default function DashboardsPage() {
  const { data, error } = useDashboards()
  const action = useDashboardAction()
  const denied = useDenied('editor')
  const [importing, setImporting] = useState(false)
  const [text, setText] = useState('')
  const [, navigate] = useLocation()
  const href = useHref()
  const { mutate, isPending } = action
  const columns = useMemo(() => columnsOf((id) => mutate({ do: 'delete', id }), isPending, denied), [mutate, isPending, denied])
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const rows = data?.dashboards.filter((d) => words.every((w) => `${d.title} ${d.description ?? ''}`.toLowerCase().includes(w)))
  const own = data?.dashboards.filter((d) => !d.example).length ?? 0
  return (
    <>
      <PageHeader
        title="Dashboards"
        sentence="PromQL panels in a grid, over the page's time range."
        actions={
          <>
            <Button
              leftSection={<Upload size={14} aria-hidden="true" />}
              aria-expanded={importing}
              disabled={denied !== undefined}
              title={denied}
              onClick={() => setImporting(!importing)}
            >
              {importing ? 'Discard the import' : 'Import'}
            </Button>
            <Button
              variant="filled"
              leftSection={<Plus size={14} aria-hidden="true" />}
              disabled={denied !== undefined || isPending}
              title={denied}
              onClick={() =>
                mutate(
                  { do: 'create', dashboard: { title: 'New dashboard' } },
                  { onSuccess: (d) => d && navigate(href(dashboardPath(d.id), { edit: '1' })) },
                )
              }
            >
              New dashboard
            </Button>
          </>
        }
      />
      {importing && <ImportForm />}
      {action.error && <Problem error={action.error} />}
      <Section title="All dashboards" note={data && `${own} of ${exact(data.limits.dashboards)}`}>
        {rows === undefined ? (
          <Waiting what="dashboards" error={error} />
        ) : (
          <>
            <div className="tools">
              <FilterBox label="Filter dashboards" value={text} onChange={setText} />
            </div>
            <Table label="Dashboards" rows={rows} columns={columns} rowKey={(d) => d.id} sort="title" empty="No dashboard matches." />
          </>
        )}
      </Section>
    </>
  )
}
