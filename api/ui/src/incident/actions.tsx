import { Button, Modal } from '@mantine/core'
import { BellOff, Check, Link as LinkIcon } from 'lucide-react'
import { Suspense, useState } from 'react'
import type { Incident, IncidentHeader } from '../api/types'
import { useDenied } from '../identity/may'
import { lazyPage } from '../lib/lazy'
import { useLive } from '../live/use-live'
import { leadOf } from './lead'
import { useIncidentAction } from './queries'

const SilenceForm = lazyPage<Parameters<typeof import('../alert/silence').SilenceForm>[0]>(async () => ({
  default: (await import('../alert/silence')).SilenceForm,
}))

/** Says who takes care of it, or takes that back. */
export function Acknowledge({ header: h, primary = false }: { header: IncidentHeader; primary?: boolean }) {
  const { mutate, isPending } = useIncidentAction(h.id)
  const reason = useDenied('editor')
  const done = h.acknowledged !== null
  return (
    <Button
      variant={primary && !done ? 'filled' : 'default'}
      leftSection={<Check size={14} aria-hidden="true" />}
      disabled={isPending || reason !== undefined}
      title={
        reason ?? (done ? `Acknowledged by ${h.acknowledged?.by}` : 'Shows everybody that you take care of it; notifications continue')
      }
      onClick={() => mutate({ do: done ? 'withdraw' : 'acknowledge' })}
    >
      {done ? 'Withdraw acknowledgement' : 'Acknowledge'}
    </Button>
  )
}

/** Silences alerts of an incident, and shows which others that would hit. */
export function SilenceButton({ incident: i }: { incident: Incident }) {
  const [open, setOpen] = useState(false)
  const all = useLive('alerts').data?.alerts ?? []
  const lead = leadOf(i)
  const alert = all.find((a) => a.fingerprint === lead?.fingerprint) ?? all.find((a) => a.incident === i.incident.id)
  return (
    <>
      <Button
        leftSection={<BellOff size={14} aria-hidden="true" />}
        disabled={alert === undefined}
        title={alert === undefined ? 'No alert of this incident is active' : undefined}
        onClick={() => setOpen(true)}
      >
        Silence…
      </Button>
      <Modal
        opened={open}
        onClose={() => setOpen(false)}
        title="Silence"
        size="lg"
        lockScroll={false}
        transitionProps={{ duration: 0 }}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <Suspense>{alert && <SilenceForm alert={alert} all={all} />}</Suspense>
      </Modal>
    </>
  )
}

export function CopyLink() {
  const [copied, setCopied] = useState(false)
  return (
    <Button
      leftSection={<LinkIcon size={14} aria-hidden="true" />}
      onClick={() => {
        void navigator.clipboard.writeText(window.location.href).then(() => setCopied(true))
      }}
    >
      {copied ? 'Copied' : 'Copy link'}
    </Button>
  )
}
