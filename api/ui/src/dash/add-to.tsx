import { Button, Menu } from '@mantine/core'
import { LayoutDashboard } from 'lucide-react'
import { useState } from 'react'
import { useLocation } from 'wouter'
import type { DashboardPanel } from '../api/types'
import { Problem } from '../components/bits'
import { useDenied } from '../identity/may'
import { useHref } from '../lib/url'
import { dashboardPath, useDashboardAction, useDashboards } from './queries'

/** Puts a panel at the end of a dashboard, or into a new one. */
export function AddToDashboard({ panel }: { panel: DashboardPanel }) {
  const [open, setOpen] = useState(false)
  const { data, error } = useDashboards(open)
  const action = useDashboardAction()
  const denied = useDenied('editor')
  const [, navigate] = useLocation()
  const href = useHref()
  const show = (id: string | undefined) => id && navigate(href(dashboardPath(id)))
  const own = data?.dashboards.filter((d) => !d.example) ?? []
  return (
    <>
      <Menu opened={open} onChange={setOpen} position="bottom-end" transitionProps={{ duration: 0 }}>
        <Menu.Target>
          <Button
            leftSection={<LayoutDashboard size={14} aria-hidden="true" />}
            disabled={denied !== undefined || action.isPending}
            title={denied}
          >
            Add to dashboard
          </Button>
        </Menu.Target>
        <Menu.Dropdown className="dash-menu">
          <Menu.Item
            onClick={() =>
              action.mutate(
                { do: 'create', dashboard: { title: 'New dashboard', panels: [panel] } },
                { onSuccess: (d) => d && navigate(href(dashboardPath(d.id), { edit: '1' })) },
              )
            }
          >
            New dashboard
          </Menu.Item>
          {own.length > 0 && <Menu.Divider />}
          {own.map((d) => (
            <Menu.Item key={d.id} onClick={() => action.mutate({ do: 'append', id: d.id, panel }, { onSuccess: (to) => show(to?.id) })}>
              <bdi>{d.title}</bdi>
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      {(action.error ?? error) && <Problem error={(action.error ?? error) as Error} />}
    </>
  )
}
