package caller

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/gaurav/watchingcat/api/answer"
)

// What a browser can be made to do.
//
// Any website can make the browser of a user send requests here, and without authentication the browser's position in the network is all
// that it takes. Two things are refused, on every path:
//
//   - A change that a page of another site makes, by what browsers say of it: Sec-Fetch-Site, else Origin. Programs say neither.
//   - Without authentication, a request for a name that an attacker could point at this server after his page was loaded (DNS rebinding).
//     Addresses, names without a dot and names that no public zone has cannot be taken over so; others have to be known.

// Guard holds a request against both.
func (s *Gate) Guard(next http.Handler) http.Handler {
	check := http.NewCrossOriginProtection()
	any := false
	for _, origin := range append([]string{s.ExternalURL}, s.CORSOrigins...) {
		if origin == "*" {
			any = true
			continue
		}
		if u, err := url.Parse(origin); err == nil && u.Host != "" {
			// settings are checked at start: what is no origin is trusted with nothing
			_ = check.AddTrustedOrigin(u.Scheme + "://" + u.Host)
		}
	}
	known := s.knownHosts()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Auth == nil && !allowedHost(r.Host, known) {
			s.Fail(w, r, answer.Advise(answer.Problemf(answer.ErrForbidden, "host_not_allowed", "this server is not known as %q", r.Host),
				"Set WATCHINGCAT_EXTERNAL_URL or WATCHINGCAT_ALLOWED_HOSTS to the name under which it is reached, or enable authentication."))
			return
		}
		if err := check.Check(r); err != nil && !any {
			s.Fail(w, r, answer.Advise(answer.Problemf(answer.ErrForbidden, "cross_site_change",
				"a page of another site may not make changes here"),
				"Set WATCHINGCAT_CORS_ALLOWED_ORIGINS to the origin of the page if it may."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHosts are the names under which the server is reached.
func (s *Gate) knownHosts() []string {
	known := slices.Clone(s.AllowedHosts)
	if u, err := url.Parse(s.ExternalURL); err == nil && u.Host != "" {
		known = append(known, u.Hostname())
	}
	if name, err := os.Hostname(); err == nil {
		known = append(known, name)
	}
	return known
}

// privateZones hold names that cannot be registered.
var privateZones = []string{".localhost", ".local", ".internal", ".svc", ".home.arpa", ".test"}

func allowedHost(hostport string, known []string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || !strings.Contains(host, ".") || net.ParseIP(host) != nil {
		return true
	}
	for _, zone := range privateZones {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return slices.ContainsFunc(known, func(k string) bool {
		k = strings.ToLower(k)
		if zone, ok := strings.CutPrefix(k, "*."); ok {
			return strings.HasSuffix(host, "."+zone)
		}
		return k == "*" || k == host
	})
}
