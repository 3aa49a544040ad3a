// Package rest is what oapi-codegen makes of openapi.yaml: the shapes of requests and answers, and the interface that api implements.
package rest

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml ../openapi.yaml
