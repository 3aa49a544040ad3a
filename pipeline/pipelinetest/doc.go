// Package pipelinetest gives tests a Kafka broker in the process and what reads from it.
package pipelinetest
