// Package apitest has what the tests of the rooms of api have in common.
package apitest
