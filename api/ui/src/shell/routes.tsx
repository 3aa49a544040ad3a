import { Link, Route, Switch, useLocation } from 'wouter'
import { lazyPage } from '../lib/lazy'
import { FirstPage } from '../pages/services'

const ServicePage = lazyPage(() => import('../pages/service'))
const DeploymentsPage = lazyPage(() => import('../pages/deployments'))
const MapPage = lazyPage(() => import('../pages/map'))
const TracesPage = lazyPage(() => import('../pages/traces'))
const TracePage = lazyPage(() => import('../pages/trace'))
const LogsPage = lazyPage(() => import('../pages/logs'))
const QueryPage = lazyPage(() => import('../pages/query'))
const DashboardsPage = lazyPage(() => import('../pages/dashboards'))
const DashboardPage = lazyPage(() => import('../pages/dashboard'))
const ErrorsPage = lazyPage(() => import('../pages/errors'))
const ExceptionPage = lazyPage(() => import('../pages/exception'))
const IncidentsPage = lazyPage(() => import('../pages/incidents'))
const IncidentPage = lazyPage(() => import('../pages/incident'))
const AlertsPage = lazyPage(() => import('../pages/alerts'))
const RulePage = lazyPage(() => import('../pages/rule'))
const GraphPage = lazyPage(() => import('../pages/graph'))
const SLOsPage = lazyPage(() => import('../pages/slos'))
const SLOPage = lazyPage(() => import('../pages/slo'))
const AccountPage = lazyPage(() => import('../pages/account'))
const SettingsPage = lazyPage(() => import('../pages/settings'))
const OnboardingPage = lazyPage(() => import('../pages/onboarding'))
const PipelinePage = lazyPage(() => import('../pages/pipeline'))

export function Routes() {
  const [location] = useLocation()
  return (
    <Switch>
      <Route path="/" component={FirstPage} />
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
      <Route path="/query" component={QueryPage} />
      <Route path="/dashboards" component={DashboardsPage} />
      <Route path="/dashboards/:id">
        <DashboardPage key={location} />
      </Route>
      <Route path="/errors" component={ErrorsPage} />
      <Route path="/errors/:id">
        <ExceptionPage key={location} />
      </Route>
      <Route path="/incidents" component={IncidentsPage} />
      <Route path="/incidents/:id">
        <IncidentPage key={location} />
      </Route>
      <Route path="/alerts" component={AlertsPage} />
      <Route path="/alerts/new" component={RulePage} />
      <Route path="/alerts/rules/:id">
        <RulePage key={location} />
      </Route>
      <Route path="/graph" component={GraphPage} />
      <Route path="/slos" component={SLOsPage} />
      <Route path="/slos/:id">
        <SLOPage key={location} />
      </Route>
      <Route path="/pipeline" component={PipelinePage} />
      <Route path="/settings" component={SettingsPage} />
      <Route path="/onboarding" component={OnboardingPage} />
      <Route path="/account" component={AccountPage} />
      <Route>
        <p className="quiet">
          There is no page here. <Link href="/">Overview</Link>
        </p>
      </Route>
    </Switch>
  )
}
