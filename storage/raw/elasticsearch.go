package raw

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/gaurav/watchingcat/storage/attr"
)

// Elasticsearch reads log lines of two layouts, which may be mixed in one index pattern: the Elastic Common Schema (message,
// log.level, service.name, trace.id; https://www.elastic.co/docs/reference/ecs) and that of OpenTelemetry (body.text,
// severity_text, resource.attributes, trace_id; the mapping mode otel of the Collector's elasticsearchexporter). Strings may be
// mapped as keywords, or as text with a keyword beside it, as Elasticsearch does by default.
type Elasticsearch struct {
	*Backend
	index     string
	transport *elastictransport.Client
}

// OpenElasticsearch returns the reader of the indices that a pattern names, as logs-*,filebeat-*.
func OpenElasticsearch(base, index string, o Options) (*Elasticsearch, error) {
	b, err := open("elasticsearch", base, o)
	if err != nil {
		return nil, err
	}
	u := *b.base
	u.User = nil // the Backend sends it
	t, err := elastictransport.NewClient(elastictransport.WithURLs(&u), elastictransport.WithTransport(b),
		elastictransport.WithDisableRetry())
	if err != nil {
		return nil, fmt.Errorf("raw: elasticsearch: %w", err)
	}
	return &Elasticsearch{Backend: b, index: index, transport: t}, nil
}

// LogQuery selects lines. Zero fields select everything.
type LogQuery struct {
	From, To    time.Time
	Service     string
	MinSeverity int      // OpenTelemetry's severity number, 1 to 24
	Text        string   // words that follow each other in the body; the last may go on
	Words       []string // each is in the body
	TraceID     string   // hex digits
	Limit       int
	After       *LogPlace
	Ascending   bool // the oldest come first; not with After, and there is no next page
}

// LogPlace is where a page ended: at a time, with the lines of that very time that were shown.
type LogPlace struct {
	At   int64    `json:"at"` // Unix nanoseconds
	Seen []string `json:"seen"`
}

// maxSeen bounds the lines of one instant that a LogPlace names.
const maxSeen = 500

// LogLine is one line.
type LogLine struct {
	ID, Index            string
	Time                 time.Time
	Service              string
	SeverityNumber       int32  // 0: not known
	SeverityText         string // as it was written
	Body, Event          string
	Scope, ScopeVersion  string
	TraceID, SpanID      string // hex digits, as they were written
	Attributes, Resource map[string]any
}

// LogResult is a page of lines, newest first; Next is nil at the end. Incomplete says why lines may be missing; "": none are.
type LogResult struct {
	Lines      []LogLine
	Next       *LogPlace
	Incomplete string
}

// The fields of the two layouts, each with its keyword.
var (
	serviceFields = []string{"service.name", "resource.attributes.service.name"}
	traceFields   = []string{"trace.id", "trace_id"}
	levelFields   = []string{"log.level", "severity_text"}
	bodyFields    = []string{"message", "body.text", "body", "event_name"}
)

type object = map[string]any

// anyOf accepts lines with the value in one of the fields.
func anyOf(fields []string, values ...string) object {
	var should []object
	for _, f := range fields {
		should = append(should, object{"terms": object{f: values}}, object{"terms": object{f + ".keyword": values}})
	}
	return object{"bool": object{"should": should, "minimum_should_match": 1}}
}

// filter is the query's conditions in Elasticsearch's language.
func (q *LogQuery) filter() object {
	all := []object{{"range": object{"@timestamp": object{"gte": q.From.UTC().Format(time.RFC3339Nano),
		"lt": q.To.UTC().Format(time.RFC3339Nano), "format": "strict_date_optional_time_nanos"}}}}
	if q.Service != "" {
		all = append(all, anyOf(serviceFields, q.Service))
	}
	if q.TraceID != "" {
		all = append(all, anyOf(traceFields, q.TraceID))
	}
	if q.MinSeverity > 0 {
		by := anyOf(levelFields, levelsFrom(q.MinSeverity)...)["bool"].(object)
		by["should"] = append(by["should"].([]object), object{"range": object{"severity_number": object{"gte": q.MinSeverity}}})
		all = append(all, object{"bool": by})
	}
	if q.Text != "" {
		all = append(all, object{"multi_match": object{"query": q.Text, "type": "phrase_prefix", "fields": bodyFields}})
	}
	if len(q.Words) > 0 {
		all = append(all, object{"multi_match": object{"query": strings.Join(q.Words, " "), "type": "cross_fields", "operator": "and",
			"fields": bodyFields}})
	}
	return object{"bool": object{"filter": all}}
}

// levelsFrom are the texts of severities, as programs write them.
func levelsFrom(number int) (out []string) {
	for _, t := range attr.SeverityTexts(int32(number)) {
		out = append(out, t, strings.ToLower(t), t[:1]+strings.ToLower(t[1:]))
	}
	return out
}

// searchTime is how long Elasticsearch may search before it answers with what it has.
const searchTime = "4s"

// Search returns the newest lines that q selects, or the oldest.
func (e *Elasticsearch) Search(ctx context.Context, q LogQuery) (LogResult, error) {
	query := q.filter()
	order := "desc"
	if q.Ascending {
		order = "asc"
	}
	body := object{
		"size": q.Limit + 1, "timeout": searchTime, "track_total_hits": false,
		"sort": []object{{"@timestamp": object{"order": order, "numeric_type": "date_nanos", "unmapped_type": "date"}}},
	}
	if q.After != nil {
		// What follows the place: nothing newer, and of its instant what was not shown.
		body["search_after"] = []int64{q.After.At + 1}
		if len(q.After.Seen) >= maxSeen {
			body["search_after"] = []int64{q.After.At}
		} else if len(q.After.Seen) > 0 {
			query["bool"].(object)["must_not"] = []object{{"ids": object{"values": q.After.Seen}}}
		}
	}
	body["query"] = query
	var res struct {
		TimedOut bool `json:"timed_out"`
		Shards   struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
		Hits struct {
			Hits []hit `json:"hits"`
		} `json:"hits"`
	}
	if err := e.search(ctx, body, q.To, &res); err != nil {
		return LogResult{}, err
	}
	var out LogResult
	for i := range res.Hits.Hits[:min(len(res.Hits.Hits), q.Limit)] {
		line, err := res.Hits.Hits[i].line()
		if err != nil {
			return out, fmt.Errorf("elasticsearch %w: %w", ErrUnavailable, err)
		}
		out.Lines = append(out.Lines, line)
	}
	if len(res.Hits.Hits) > q.Limit && len(out.Lines) > 0 {
		out.Next = PlaceAfter(out.Lines, q.After)
		if len(out.Next.Seen) >= maxSeen {
			out.Incomplete = fmt.Sprintf("of the lines at one instant the first %d are shown", len(out.Next.Seen))
		}
	}
	if res.TimedOut || res.Shards.Failed > 0 {
		out.Incomplete = "elasticsearch gave up part of the search: ask for a shorter range"
	}
	return out, nil
}

// PlaceAfter is where a page ends that shows lines, which are not none, after the place before.
func PlaceAfter(lines []LogLine, before *LogPlace) *LogPlace {
	p := &LogPlace{At: lines[len(lines)-1].Time.UnixNano()}
	if before != nil && before.At == p.At {
		p.Seen = append(p.Seen, before.Seen...)
	}
	for _, l := range lines {
		if l.Time.UnixNano() == p.At && len(p.Seen) < maxSeen {
			p.Seen = append(p.Seen, l.ID)
		}
	}
	return p
}

// search sends a search request; all it is about happened before until.
func (e *Elasticsearch) search(ctx context.Context, body object, until time.Time, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return e.call(about(ctx, until), "_search", url.Values{}, b, into)
}

// call sends a request to an API of the indices and decodes the answer. The client's package esapi has functions for all APIs of
// Elasticsearch. It is not used for these two, because it takes longer to compile than everything else in this package.
func (e *Elasticsearch) call(ctx context.Context, api string, params url.Values, body []byte, into any) error {
	params.Set("allow_no_indices", "true")
	params.Set("ignore_unavailable", "true")
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http:///"+e.index+"/"+api+"?"+params.Encode(), r) // Perform sets the host
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := e.transport.Perform(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("elasticsearch %w: %d %s", ErrUnavailable, resp.StatusCode, reasonOf(resp.Body))
	}
	dec := json.NewDecoder(resp.Body)
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("elasticsearch %w: %w", ErrUnavailable, err)
	}
	return nil
}

// reasonOf is the reason that an error of Elasticsearch's gives; "" if it gives none.
func reasonOf(r io.Reader) string {
	var body struct {
		Error struct {
			Reason string `json:"reason"`
			Cause  []struct {
				Reason string `json:"reason"`
			} `json:"root_cause"`
		} `json:"error"`
	}
	if json.NewDecoder(r).Decode(&body) != nil {
		return ""
	}
	if len(body.Error.Cause) > 0 {
		return body.Error.Cause[0].Reason
	}
	return body.Error.Reason
}

// LogBucket counts the lines of one service and level in one step of time.
type LogBucket struct {
	Time           time.Time
	Service        string
	Level          string // as it was written
	SeverityNumber int32  // where there is no level
	Count          int64
}

const (
	volumePage  = 1000
	volumePages = 20
)

// Volume counts lines by steps of time that begin at whole multiples of step. incomplete says why lines may be missing.
func (e *Elasticsearch) Volume(ctx context.Context, q LogQuery, step time.Duration) (list []LogBucket, incomplete string, err error) {
	services, err := e.grouping(ctx, serviceFields)
	if err != nil {
		return nil, "", err
	}
	levels, err := e.grouping(ctx, append(slices.Clone(levelFields), "severity_number"))
	if err != nil {
		return nil, "", err
	}
	sources := []object{{"time": object{"date_histogram": object{"field": "@timestamp",
		"fixed_interval": strconv.FormatInt(step.Milliseconds(), 10) + "ms"}}}}
	for i, f := range append(slices.Clone(services), levels...) {
		sources = append(sources, object{strconv.Itoa(i): object{"terms": object{"field": f, "missing_bucket": true}}})
	}
	composite := object{"size": volumePage, "sources": sources}
	for range volumePages {
		var res struct {
			TimedOut bool `json:"timed_out"`
			Shards   struct {
				Failed int `json:"failed"`
			} `json:"_shards"`
			Aggregations struct {
				By struct {
					After   map[string]any `json:"after_key"`
					Buckets []struct {
						Key   map[string]any `json:"key"`
						Count int64          `json:"doc_count"`
					} `json:"buckets"`
				} `json:"by"`
			} `json:"aggregations"`
		}
		body := object{"size": 0, "timeout": searchTime, "track_total_hits": false, "query": q.filter(),
			"aggs": object{"by": object{"composite": composite}}}
		if err := e.search(ctx, body, q.To, &res); err != nil {
			return nil, "", err
		}
		for _, b := range res.Aggregations.By.Buckets {
			list = append(list, volumeBucket(b.Key, b.Count, len(services)))
		}
		if res.TimedOut || res.Shards.Failed > 0 {
			incomplete = "elasticsearch gave up part of the count: ask for a shorter range"
		}
		if composite["after"] = res.Aggregations.By.After; len(res.Aggregations.By.Buckets) < volumePage {
			return list, incomplete, nil
		}
	}
	return list, fmt.Sprintf("elasticsearch has more than %d counts in this range: give a longer step or a service",
		volumePage*volumePages), nil
}

func volumeBucket(key map[string]any, count int64, services int) LogBucket {
	b := LogBucket{Count: count}
	if n, err := number(key["time"]); err == nil {
		b.Time = time.UnixMilli(n).UTC()
	}
	for i := 0; key[strconv.Itoa(i)] != nil || i < len(key)-1; i++ {
		v := key[strconv.Itoa(i)]
		n, isNumber := v.(json.Number)
		switch {
		case v == nil:
		case i < services:
			b.Service = fmt.Sprint(v)
		case isNumber:
			if at, err := n.Int64(); err == nil {
				b.SeverityNumber = int32(at)
			}
		default:
			b.Level = fmt.Sprint(v)
		}
	}
	return b
}

func number(v any) (int64, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, errors.New("not a number")
	}
	return n.Int64()
}

// grouping is which of fields, or of their keywords, lines can be counted by.
func (e *Elasticsearch) grouping(ctx context.Context, fields []string) ([]string, error) {
	var names []string
	for _, f := range fields {
		names = append(names, f, f+".keyword")
	}
	var res struct {
		Fields map[string]map[string]struct {
			Aggregatable bool `json:"aggregatable"`
		} `json:"fields"`
	}
	if err := e.call(ctx, "_field_caps", url.Values{"fields": {strings.Join(names, ",")}}, nil, &res); err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		ok := len(res.Fields[name]) > 0
		for typ, f := range res.Fields[name] {
			ok = ok && (f.Aggregatable || typ == "unmapped")
		}
		if ok {
			out = append(out, name)
		}
	}
	return out, nil
}

// hit is one document.
type hit struct {
	Index  string        `json:"_index"`
	ID     string        `json:"_id"`
	Source object        `json:"_source"`
	Sort   []json.Number `json:"sort"`
}

// resourcePrefixes are the parts of the Elastic Common Schema that say where a line is from.
var resourcePrefixes = []string{"service.", "host.", "container.", "kubernetes.", "orchestrator.", "cloud.", "agent.", "data_stream."}

func (h *hit) line() (LogLine, error) {
	l := LogLine{ID: h.ID, Index: h.Index, Attributes: object{}, Resource: object{}}
	if len(h.Sort) == 0 {
		return l, errors.New("a line without a time")
	}
	at, err := h.Sort[0].Int64()
	if err != nil {
		return l, err
	}
	l.Time = time.Unix(0, at).UTC()
	flat := object{}
	flatten("", h.Source, flat)
	text := func(names ...string) string {
		for _, n := range names {
			if v, ok := flat[n]; ok {
				delete(flat, n)
				if s := fmt.Sprint(v); s != "" {
					return s
				}
			}
		}
		return ""
	}
	delete(flat, "@timestamp")
	if n, err := strconv.ParseInt(text("severity_number"), 10, 32); err == nil {
		l.SeverityNumber = int32(n)
	}
	l.SeverityText = text("severity_text", "log.level")
	l.TraceID, l.SpanID = strings.ToLower(text("trace_id", "trace.id")), strings.ToLower(text("span_id", "span.id"))
	l.Event, l.Scope, l.ScopeVersion = text("event_name", "attributes.event.name"), text("scope.name", "log.logger"), text("scope.version")
	if l.Body = text("body.text", "message"); l.Body == "" {
		l.Body = text("body")
	}
	if structured, ok := h.Source["body"].(object); ok && l.Body == "" {
		if b, err := json.Marshal(structured); err == nil {
			l.Body = string(b)
		}
	}
	for k, v := range flat {
		if n, ok := v.(json.Number); ok {
			v = plainNumber(n)
		}
		switch {
		case strings.HasPrefix(k, "resource.attributes."):
			l.Resource[strings.TrimPrefix(k, "resource.attributes.")] = v
		case strings.HasPrefix(k, "attributes."):
			l.Attributes[strings.TrimPrefix(k, "attributes.")] = v
		case slices.ContainsFunc(resourcePrefixes, func(p string) bool { return strings.HasPrefix(k, p) }):
			l.Resource[k] = v
		case strings.HasPrefix(k, "body."):
		default:
			l.Attributes[k] = v
		}
	}
	if name, ok := l.Resource["service.name"]; ok {
		l.Service = fmt.Sprint(name)
	}
	return l, nil
}

func plainNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return n.String() // too large for one
	}
	return f
}

// flatten writes the leaves of a document under their paths, with which dotted names and nested objects are the same.
func flatten(prefix string, from, into object) {
	for k, v := range from {
		if nested, ok := v.(object); ok {
			flatten(prefix+k+".", nested, into)
			continue
		}
		into[prefix+k] = v
	}
}

// String is the place as a token.
func (p *LogPlace) String() string {
	b, _ := json.Marshal(p) // strings and a number always can be
	return base64.RawURLEncoding.EncodeToString(b)
}
