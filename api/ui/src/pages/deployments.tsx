import { Link } from 'wouter'
import { useDeployments } from '../api/queries'
import { Deployments } from '../components/calls'
import { PageHeader } from '../components/page'
import { useHref, useRange } from '../lib/url'

const most = 500

export default function DeploymentsPage() {
  const [range] = useRange()
  const href = useHref()
  const query = useDeployments('', range, most)
  return (
    <>
      <PageHeader
        crumb={<Link href={href('/')}>Overview</Link>}
        title="Deployments"
        sentence="Versions that were first seen in this time range, and the service before and after."
      />
      <Deployments query={query} empty="No new versions in this time range. Use a longer range." />
    </>
  )
}
