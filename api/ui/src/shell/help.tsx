import { Kbd, Modal } from '@mantine/core'
import { navPages, others } from './nav'
import { paletteKeys } from './palette'

const keys: [string[], string][] = [
  [paletteKeys, 'go to a service, page, trace …'],
  [['/'], 'filter'],
  [['j'], 'next row'],
  [['k'], 'row before'],
  [['Enter'], 'open the row'],
  ...[...navPages, ...others].flatMap((p): [string[], string][] => (p.key ? [[['g', p.key], p.label]] : [])),
  [['space'], 'pause or resume'],
  [['?'], 'this help'],
]

export function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    // Locking the scroll would need a style element, which the content security policy forbids.
    <Modal
      opened={opened}
      onClose={onClose}
      title="Keyboard"
      size="xs"
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <dl className="keys">
        {keys.map(([k, what]) => (
          <div key={what}>
            <dt>
              {k.map((one) => (
                <Kbd key={one}>{one}</Kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  )
}
