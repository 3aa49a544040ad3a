package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of a password hash: OWASP's second choice of parameters for argon2id.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// Bounds of a password in bytes.
const (
	minPassword = 8
	maxPassword = 256
)

// hashing bounds how many passwords are hashed at once: each takes argonMemory.
var hashing = make(chan struct{}, 4)

func argonOf(password string, salt []byte, memory, time uint32, threads uint8, size uint32) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, time, memory, threads, size)
}

// hashPassword returns the hash in the PHC string format, as $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
func hashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("%w: a password has %d to %d bytes", ErrInvalid, minPassword, maxPassword)
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(argonOf(password, salt, argonMemory, argonTime, argonThreads, argonKey))), nil
}

// checkPassword reports whether a password has a hash. An unreadable hash fits no password, and takes as long.
func checkPassword(hash, password string) bool {
	if len(password) > maxPassword {
		return false
	}
	salt, want, memory, time, threads := parseHash(hash)
	if want == nil {
		argonOf(password, make([]byte, argonSalt), argonMemory, argonTime, argonThreads, argonKey)
		return false
	}
	return subtle.ConstantTimeCompare(want, argonOf(password, salt, memory, time, threads, argonKey)) == 1
}

func parseHash(hash string) (salt, key []byte, memory, time uint32, threads uint8) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, nil, 0, 0, 0
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); n != 3 || err != nil || memory > 1<<20 || time < 1 ||
		time > 16 || threads < 1 {
		return nil, nil, 0, 0, 0
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return nil, nil, 0, 0, 0
	}
	if key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(key) != argonKey {
		return nil, nil, 0, 0, 0
	}
	return salt, key, memory, time, threads
}
