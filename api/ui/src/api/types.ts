import type { components } from './schema'

type Schemas = components['schemas']
export type Meta = Schemas['Meta']
export type Service = Schemas['Service']
export type ServiceList = Schemas['ServiceList']
export type ServiceAnswer = Schemas['ServiceAnswer']
export type Operation = Schemas['Operation']
export type OperationList = Schemas['OperationList']
export type ServiceMetrics = Schemas['ServiceMetrics']
export type Point = Schemas['Point']
export type Edge = Schemas['Edge']
export type MapNode = Schemas['Node']
export type ServiceMap = Schemas['ServiceMap']
export type Rule = Schemas['Rule']
export type RuleList = Schemas['RuleList']
export type Alert = Schemas['Alert']
export type AlertList = Schemas['AlertList']
export type Transition = Schemas['Transition']
export type AlertHistory = Schemas['AlertHistory']
export type Partition = Schemas['Partition']
export type Pipeline = Schemas['PipelineAnswer']
export type LoggedOut = Schemas['LoggedOut']
export type PasswordInput = Schemas['PasswordInput']
export type Config = Schemas['ConfigAnswer']
export type Problem = Schemas['Problem']
export type TraceSummary = Schemas['TraceSummary']
export type TraceList = Schemas['TraceList']
export type TraceAnswer = Schemas['TraceAnswer']
export type Trace = Schemas['JaegerTrace']
export type Span = Schemas['JaegerSpan']
export type Tag = Schemas['JaegerTag']
export type LogLine = Schemas['LogLine']
export type LogList = Schemas['LogList']
export type LogVolume = Schemas['LogVolume']
export type LogPattern = Schemas['LogPattern']
export type LogPatternList = Schemas['LogPatternList']
export type ErrorGroup = Schemas['ErrorGroup']
export type ErrorList = Schemas['ErrorList']
export type RED = Schemas['RED']
export type Deployment = Schemas['Deployment']
export type DeploymentList = Schemas['DeploymentList']
export type DatabaseCall = Schemas['DatabaseCall']
export type DatabaseList = Schemas['DatabaseList']
export type MessagingClient = Schemas['MessagingClient']
export type MessagingEdge = Schemas['MessagingEdge']
export type MessagingAnswer = Schemas['MessagingAnswer']
export type ExternalCall = Schemas['ExternalCall']
export type ExternalList = Schemas['ExternalList']
export type EdgeChange = Schemas['EdgeChange']
export type Replay = Schemas['Replay']
export type ReplayList = Schemas['ReplayList']
export type ReplayRequest = Schemas['ReplayRequest']
export type Why = Schemas['Why']
export type PathEdge = Schemas['PathEdge']
export type EvidenceTrace = Schemas['EvidenceTrace']
export type Delivery = Schemas['Delivery']
export type Notification = Schemas['Notification']
export type NotificationList = Schemas['NotificationList']
export type Receiver = Schemas['Receiver']
export type ReceiverList = Schemas['ReceiverList']
export type ReceiverTest = Schemas['ReceiverTest']
export type RuleInput = Schemas['RuleInput']
export type RuleAnswer = Schemas['RuleAnswer']
export type BacktestRequest = Schemas['BacktestRequest']
export type BacktestAnswer = Schemas['BacktestAnswer']
export type TopicBacktest = Schemas['TopicBacktest']
export type BacktestSeries = Schemas['BacktestSeries']
export type BacktestSummary = Schemas['BacktestSummary']
export type BacktestVariant = Schemas['BacktestVariant']
export type BacktestVariantAnswer = Schemas['BacktestVariantAnswer']
export type SLO = Schemas['SLO']
export type SLOInput = Schemas['SLOInput']
export type SLOList = Schemas['SLOList']
export type Role = Schemas['Role']
export type Me = Schemas['Me']
export type User = Schemas['User']
export type UserList = Schemas['UserList']
export type UserInput = Schemas['UserInput']
export type Token = Schemas['Token']
export type TokenList = Schemas['TokenList']
export type TokenInput = Schemas['TokenInput']
export type NewToken = Schemas['NewToken']
export type AuditEntry = Schemas['AuditEntry']
export type AuditList = Schemas['AuditList']

/** Silences are Alertmanager's, whose API is not in our document. */
export interface Matcher {
  name: string
  value: string
  isRegex: boolean
  isEqual: boolean
}
export interface SilenceInput {
  matchers: Matcher[]
  startsAt: string
  endsAt: string
  createdBy: string
  comment: string
}
export interface Silence extends SilenceInput {
  id: string
  status: { state: 'active' | 'pending' | 'expired' }
}
