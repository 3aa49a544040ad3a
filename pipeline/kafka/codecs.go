package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// Codecs are the compressions of batches by the names that Kafka's compression.type has.
var Codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
