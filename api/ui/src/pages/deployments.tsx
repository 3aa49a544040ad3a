import { Link } from 'wouter'
import { useDeployments } from '../api/queries'
import { Deployments } from '../components/calls'
import { rangeSeconds } from '../lib/range'
import { useHref, useRange } from '../lib/url'

const most = 500

export default function DeploymentsPage() {
  const [range] = useRange()
  const href = useHref()
  const query = useDeployments('', rangeSeconds(range), most)
  return (
    <>
      <p className="crumb">
        <Link href={href('/')}>Services</Link>
      </p>
      <h1 className="hidden">Deployments</h1>
      <Deployments query={query} empty="No new versions in this time range. Use a longer range." />
    </>
  )
}
