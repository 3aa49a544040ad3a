import { Drawer } from '@mantine/core'
import { Help } from '../src/shell/help'

const nothing = () => {}

/** The dialog is drawn over the page, so the part that is looked at has to be as large. */
export function Dialog() {
  return (
    <div className="catalogue-over">
      <Help opened onClose={nothing} />
    </div>
  )
}

export function DrawerOpen() {
  return (
    <div className="catalogue-over">
      <Drawer
        opened
        onClose={nothing}
        title="Pages"
        size="260px"
        lockScroll={false}
        transitionProps={{ duration: 0 }}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <nav className="side-drawer" aria-label="All pages">
          <a className="side-link" href="/" aria-current="page">
            Overview
          </a>
          <a className="side-link" href="/map">
            Map
          </a>
        </nav>
      </Drawer>
    </div>
  )
}
