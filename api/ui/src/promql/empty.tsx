import { useQuery } from '@tanstack/react-query'
import { Status } from '../components/bits'
import { nearNames } from './near'
import { useMetricNames } from './queries'
import { comparisonOf } from './threshold'

/** The metrics that an expression names and that do not exist; undefined until it is known. */
export function useMissing(expr: string, enabled = true) {
  const names = useMetricNames(enabled)
  const used = useQuery({
    queryKey: ['metrics of', expr],
    queryFn: async () => (await import('./names')).metricsOf(expr),
    staleTime: Number.POSITIVE_INFINITY,
    enabled,
  })
  if (names.data === undefined || used.data === undefined) return undefined
  const known = new Set(names.data)
  return { missing: used.data.filter((n) => !known.has(n.name)), names: names.data }
}

interface Props {
  expr: string
  /** Takes another text for the expression; absent: it cannot be changed. */
  onChange?: ((expr: string) => void) | undefined
}

/** Why an expression has no series: no metric of that name, with the names that are like it; a condition that is not met; or labels. */
export function NoSeries({ expr, onChange }: Props) {
  const found = useMissing(expr)
  if (found === undefined) return <p className="waiting">0 series …</p>
  const { missing, names } = found
  const compared = comparisonOf(expr)
  if (missing.length === 0)
    return (
      <p className="pq-empty" role="status">
        <Status
          health="nodata"
          word={
            compared
              ? `0 series: no value is ${compared.op} ${compared.threshold} in this time range.`
              : '0 series: the metric exists, but no series with these labels has samples in this time range.'
          }
        />
      </p>
    )
  return (
    <div className="pq-empty" role="status">
      {missing.map((m) => {
        const near = nearNames(m.name, names)
        return (
          <p key={`${m.name}${m.from}`}>
            <Status health="pending" word={`0 series: no metric of the name ${m.name}.`} />
            {near.length > 0 && (
              <span className="pq-near">
                Did you mean
                {near.map((name) =>
                  onChange ? (
                    <button
                      key={name}
                      type="button"
                      className="plain"
                      onClick={() => onChange(expr.slice(0, m.from) + name + expr.slice(m.to))}
                    >
                      {name}
                    </button>
                  ) : (
                    <code key={name}>{name}</code>
                  ),
                )}
              </span>
            )}
          </p>
        )
      })}
    </div>
  )
}
