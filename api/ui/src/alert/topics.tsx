import { Button } from '@mantine/core'
import { useEffect, useState } from 'react'
import { useTopicBacktest, useTopicBacktestAction } from '../api/queries'
import type { BacktestAnswer, BacktestRequest } from '../api/types'
import { Status } from '../components/bits'
import { count, duration, percent } from '../lib/format'

interface Props {
  /** What is asked; a change of it makes an answer old. */
  request: BacktestRequest
  /** The answer over the topics, while it is one to this request. */
  onAnswer: (answer: BacktestAnswer | undefined) => void
}

/** Evaluates a rule over the records themselves, as it would have been live, with progress. */
export function OverTopics({ request, onAnswer }: Props) {
  const [job, setJob] = useState<{ id: string; of: string }>()
  const action = useTopicBacktestAction()
  const { data } = useTopicBacktest(job?.id)
  const asked = JSON.stringify({ ...request, variants: [] })
  const current = job !== undefined && job.of === asked
  const answer = current && data?.state === 'done' ? (data.result ?? undefined) : undefined
  useEffect(() => onAnswer(answer), [answer, onAnswer])
  const start = () =>
    action.mutate({ do: 'start', request }, { onSuccess: (t) => setJob(t && 'id' in t ? { id: t.id, of: asked } : undefined) })
  const cancel = (id: string) => action.mutate({ do: 'cancel', id }, { onSuccess: () => setJob(undefined) })
  if (job && data?.state === 'running')
    return (
      <p className="bt-topics" role="status">
        <progress value={data.progress} max={1} aria-label="backtest over the records" /> {percent(data.progress)} % of {count(data.total)}{' '}
        records
        {data.eta_s !== null && <>, {duration(Math.max(1, data.eta_s) * 1000)} left</>}{' '}
        <Button onClick={() => cancel(job.id)}>Cancel</Button>
      </p>
    )
  return (
    <p className="bt-topics">
      {answer ? (
        <>
          <b>Over the records themselves</b>, evaluated as a live rule is, {answer.evaluations} times.{' '}
          <Button onClick={() => setJob(undefined)}>Back to the views</Button>
        </>
      ) : (
        <>
          <span className="dim">Over the buckets of the views.</span>{' '}
          <Button disabled={action.isPending} onClick={start}>
            Evaluate over the records in Kafka
          </Button>
        </>
      )}
      {action.error && <Status health="firing" word={action.error.message} />}
      {current && data?.state === 'failed' && <Status health="firing" word={data.error ?? 'failed'} />}
    </p>
  )
}
