import { Kbd, Modal } from '@mantine/core'
import { useLocation } from 'wouter'
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

/** Keys of one page, shown there. */
const ofPages: [string, [string[], string][]][] = [
  [
    '/traces/',
    [
      [['j'], 'next span'],
      [['k'], 'span before'],
      [['Enter'], 'open the span'],
      [['['], 'failed span before'],
      [[']'], 'next failed span'],
      [['n'], 'next match'],
      [['N'], 'match before'],
      [['Esc'], 'close the span'],
    ],
  ],
  ['/map', [[['p'], 'play or pause the range']]],
]

const keysOf = (path: string) => ofPages.find(([begin]) => path.startsWith(begin))?.[1] ?? []

export function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [path] = useLocation()
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
        {[...keysOf(path), ...keys.filter(([k]) => !keysOf(path).some(([own]) => own[0] === k[0]))].map(([k, what]) => (
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
