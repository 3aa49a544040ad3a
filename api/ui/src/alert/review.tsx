import { Button, Modal } from '@mantine/core'
import type { RuleInput } from '../api/types'
import { changesOf } from './changes'

interface Props {
  before: RuleInput
  after: RuleInput
  opened: boolean
  busy: boolean
  onSave: () => void
  onClose: () => void
}

/** What a save would change. */
export function Review({ before, after, opened, busy, onSave, onClose }: Props) {
  return (
    // Locking the scroll would need a style element, which the content security policy forbids.
    <Modal
      opened={opened}
      onClose={onClose}
      title="Save these changes?"
      size="lg"
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <dl className="changes">
        {changesOf(before, after).map((c) => (
          <div key={c.field}>
            <dt>{c.field}</dt>
            <dd>
              {c.before !== '' && (
                <del>
                  <span className="hidden">before: </span>
                  {c.before}
                </del>
              )}
              {c.after !== '' && (
                <ins>
                  <span className="hidden">after: </span>
                  {c.after}
                </ins>
              )}
            </dd>
          </div>
        ))}
      </dl>
      <div className="tools">
        <Button variant="filled" disabled={busy} onClick={onSave}>
          Save changes
        </Button>
        <Button onClick={onClose}>Back to the rule</Button>
      </div>
    </Modal>
  )
}
