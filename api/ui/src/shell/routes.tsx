import { lazy } from 'react'
import { Link, Route, Switch, useLocation } from 'wouter'
import { ServicesPage } from '../pages/services'

const ServicePage = lazy(() => import('../pages/service'))
const DeploymentsPage = lazy(() => import('../pages/deployments'))
const MapPage = lazy(() => import('../pages/map'))
const TracesPage = lazy(() => import('../pages/traces'))
const TracePage = lazy(() => import('../pages/trace'))
const LogsPage = lazy(() => import('../pages/logs'))
const ErrorsPage = lazy(() => import('../pages/errors'))
const AlertsPage = lazy(() => import('../pages/alerts'))
const RulePage = lazy(() => import('../pages/rule'))
const GraphPage = lazy(() => import('../pages/graph'))
const SLOsPage = lazy(() => import('../pages/slos'))
const AccountPage = lazy(() => import('../pages/account'))
const PipelinePage = lazy(() => import('../pages/pipeline'))

export function Routes() {
  const [location] = useLocation()
  return (
    <Switch>
      <Route path="/" component={ServicesPage} />
      <Route path="/services/:name">
        <ServicePage key={location} />
      </Route>
      <Route path="/deployments" component={DeploymentsPage} />
      <Route path="/map" component={MapPage} />
      <Route path="/traces" component={TracesPage} />
      <Route path="/traces/:id">
        <TracePage key={location} />
      </Route>
      <Route path="/logs" component={LogsPage} />
      <Route path="/errors" component={ErrorsPage} />
      <Route path="/alerts" component={AlertsPage} />
      <Route path="/alerts/new" component={RulePage} />
      <Route path="/alerts/rules/:id">
        <RulePage key={location} />
      </Route>
      <Route path="/graph" component={GraphPage} />
      <Route path="/slos" component={SLOsPage} />
      <Route path="/pipeline" component={PipelinePage} />
      <Route path="/account" component={AccountPage} />
      <Route>
        <p className="quiet">
          There is no page here. <Link href="/">Overview</Link>
        </p>
      </Route>
    </Switch>
  )
}
