import { ActionIcon, Menu } from '@mantine/core'
import { EllipsisVertical } from 'lucide-react'

interface Props {
  title: string
  onPNG: () => void
  onCSV?: (() => void) | undefined
}

/** What can be done with every chart. */
export function ChartMenu({ title, onPNG, onCSV }: Props) {
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size={24} className="chart-menu" aria-label={`Export ${title}`} title="Export">
          <EllipsisVertical size={14} aria-hidden="true" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={onPNG}>Download PNG</Menu.Item>
        {onCSV && <Menu.Item onClick={onCSV}>Download CSV</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  )
}
