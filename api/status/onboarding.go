package status

import (
	"context"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/pipeline/progress"
)

// Kafka is how the topics are reached, without credentials. An empty topic is not read.
type Kafka struct {
	Brokers               []string
	TLS                   bool
	SASLMechanism         string
	Traces, Metrics, Logs string // topics, as they are set
	// Is reports whether a topic is one of those that are set; nil: when it has that name.
	Is func(set, topic string) bool
	// Embedded: the broker runs in the process.
	Embedded bool
	// OTLP are the receivers; nil: there are none.
	OTLP *OTLP
}

// OTLP are the receivers' addresses, "" for none, and what senders need.
type OTLP struct {
	GRPC, HTTP string
	TLS, Token bool
}

// GetOnboarding implements rest.StrictServerInterface.
func (s *Status) GetOnboarding(ctx context.Context, _ rest.GetOnboardingRequestObject) (rest.GetOnboardingResponseObject, error) {
	c := s.Moment(ctx).Views.Counters()
	out := rest.GetOnboarding200JSONResponse{Brokers: append([]string{}, s.Kafka.Brokers...), Embedded: s.Kafka.Embedded, Tls: s.Kafka.TLS,
		SaslMechanism: answer.TextOrNil(s.Kafka.SASLMechanism), DeadLetters: int64(c.DeadLetters)}
	if o := s.Kafka.OTLP; o != nil {
		out.Otlp = &rest.OnboardingOTLP{Grpc: answer.TextOrNil(o.GRPC), Http: answer.TextOrNil(o.HTTP), Tls: o.TLS, Token: o.Token}
	}
	var points uint64
	if s.Samples != nil {
		m := s.Samples.Counters()
		points, out.DeadLetters = m.Points, out.DeadLetters+int64(m.DeadLetters)
	}
	parts := s.Reading.Partitions()
	for _, p := range parts {
		if p.Err == nil || p.NoTopic {
			out.Reachable = true
		} else if out.Error == nil {
			out.Error = answer.TextOrNil(p.Err.Error())
		}
	}
	if out.Reachable {
		out.Error = nil // of one topic, which says so itself
	}
	out.Topics = []rest.OnboardingTopic{
		onboardingTopic(rest.OnboardingTopicSignalTraces, s.Kafka.Traces, c.Spans, parts, s.Kafka.Is),
		onboardingTopic(rest.OnboardingTopicSignalMetrics, s.Kafka.Metrics, points, parts, s.Kafka.Is),
		onboardingTopic(rest.OnboardingTopicSignalLogs, s.Kafka.Logs, c.Logs, parts, s.Kafka.Is),
	}
	return out, nil
}

func onboardingTopic(signal rest.OnboardingTopicSignal, topic string, received uint64, parts []progress.Partition,
	of func(set, topic string) bool) rest.OnboardingTopic {
	out := rest.OnboardingTopic{Signal: signal, Topic: answer.TextOrNil(topic), Received: int64(received)}
	for _, p := range parts {
		if is := p.Topic == topic || of != nil && of(topic, p.Topic); !is {
			continue
		}
		if p.Err != nil {
			out.Error = answer.TextOrNil(p.Err.Error())
		}
		if p.Partition >= 0 && !p.NoTopic {
			out.Exists = true
			out.Records += max(0, p.End)
		}
	}
	return out
}
