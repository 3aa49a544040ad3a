// Package boards answers for dashboards: documents with panels that the page draws by PromQL.
package boards
