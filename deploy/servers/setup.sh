#!/usr/bin/env bash
# setup.sh PART... : fetches and builds real servers into deploy/servers/run, each once. Parts:
#   kafka collector telemetrygen                  what `make integration` needs
#   jaeger prometheus elasticsearch redis         raw stores behind the API, and its cache (Jaeger: about 5 minutes of CPU)
#   promtool amtool                               clients that must work with the API unchanged
#   schemathesis kosoku                           suites that test HTTP APIs by their document, and WebSockets (Python 3)
#   k6                                            generates load, for `make bench-k6`
#   hotrod                                        Jaeger's HotROD (about 5 minutes of CPU)
#   mailpit alertmanager                          an SMTP sink with an API; the server that ours is compatible with
# KAFKA_VERSION chooses another Apache Kafka than that of kafka/pom.xml.
# Go must be there; Java, Maven and Redis are installed with apt-get when they are missing and this runs as root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
run=$here/run
mkdir -p "$run"

say() { echo "setup: $*" >&2; }

# need COMMAND PACKAGE : the command, from the distribution's package if it is missing
need() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "$1 is missing: install it (Debian and Ubuntu: apt-get install $2)"
    exit 1
  fi
  say "installing $2"
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$2" >&2
}

# stale TARGET FILE... : true when the target is missing or older than one of the files
stale() {
  local target=$1 f
  shift
  [ -e "$target" ] || return 0
  for f in "$@"; do [ "$f" -nt "$target" ] && return 0; done
  return 1
}

kafka() {
  local ready=$run/kafka/ready # holds the version, where one was chosen
  need java default-jre-headless
  [ "$(cat "$ready" 2>/dev/null)" != "${KAFKA_VERSION:-}" ] || stale "$ready" "$here/kafka/pom.xml" || return 0
  need mvn maven
  say "fetching Kafka"
  rm -rf "$run/kafka"
  mvn -B -q -f "$here/kafka/pom.xml" ${KAFKA_VERSION:+-Dkafka.version=$KAFKA_VERSION} dependency:copy-dependencies -DoutputDirectory="$run/kafka/lib" -DincludeScope=runtime >&2
  printf '%s' "${KAFKA_VERSION:-}" >"$ready"
}

# suite NAME VERSION : a command of PyPI, in a Python environment of its own
suite() {
  [ -e "$run/$1/ready.$2" ] && return
  need python3 python3-venv
  say "fetching $1 $2"
  rm -rf "${run:?}/$1"
  python3 -m venv "$run/$1"
  "$run/$1/bin/pip" install -q --disable-pip-version-check "$1==$2" >&2
  touch "$run/$1/ready.$2"
}

# elasticsearch makes a node from the server's own jars: Maven Central has no distribution.
elasticsearch() {
  local es=$run/elasticsearch here_es=$here/elasticsearch version
  need javac default-jdk-headless
  stale "$es/ready" "$here_es/pom.xml" "$here_es"/src/*.java || return 0
  need mvn maven
  say "fetching Elasticsearch"
  rm -rf "$es"
  mkdir -p "$es/modules/transport-netty4" "$es/modules/rest-root" "$es/classes" "$es/root"
  mvn -B -q -f "$here_es/pom.xml" dependency:copy-dependencies -DoutputDirectory="$es/lib" -DincludeScope=runtime >&2
  version=$(basename "$es"/lib/elasticsearch-[0-9]*.jar .jar)
  version=${version#elasticsearch-}
  mv "$es"/lib/netty-* "$es"/lib/transport-netty4-* "$es/modules/transport-netty4/"
  javac -nowarn -cp "$es/lib/*" -d "$es/classes" "$here_es/src/Node.java" >&2
  javac -nowarn -cp "$es/lib/*" -d "$es/root" "$here_es/src/RootPlugin.java" >&2
  jar -cf "$es/modules/rest-root/rest-root.jar" -C "$es/root" .
  printf 'description=netty4\nversion=%s\nname=transport-netty4\nclassname=org.elasticsearch.transport.netty4.Netty4Plugin\njava.version=17\nelasticsearch.version=%s\nhas.native.controller=false\n' \
    "$version" "$version" >"$es/modules/transport-netty4/plugin-descriptor.properties"
  printf 'description=GET /\nversion=%s\nname=rest-root\nclassname=RootPlugin\njava.version=17\nelasticsearch.version=%s\nhas.native.controller=false\n' \
    "$version" "$version" >"$es/modules/rest-root/plugin-descriptor.properties"
  touch "$es/ready"
}

# module NAME PACKAGE : builds a package of the module in the folder NAME
module() {
  stale "$run/$1" "$here/$1/go.mod" "$here/$1"/*.go || return 0
  say "building $1"
  (cd "$here/$1" && go build -trimpath -o "$run/$1.new" "$2")
  mv "$run/$1.new" "$run/$1"
}

# tool BINARY PACKAGE@VERSION [FLAG...] : builds a program of a released module
tool() {
  local name=$1 pkg=$2
  shift 2
  [ -e "$run/$name.${pkg##*@}" ] && return
  say "building $name ${pkg##*@}"
  GOFLAGS=-mod=mod GOBIN=$run go install "$@" "$pkg"
  touch "$run/$name.${pkg##*@}"
}

for part in "$@"; do
  case $part in
    kafka) kafka ;;
    collector) module collector . ;;
    jaeger) module jaeger github.com/jaegertracing/jaeger/cmd/jaeger ;;
    elasticsearch) elasticsearch ;;
    schemathesis) suite schemathesis 4.32.5 ;;
    kosoku) suite kosoku 0.1.0 ;;
    redis) need redis-server redis-server ;;
    hotrod) module hotrod github.com/jaegertracing/jaeger/examples/hotrod ;;
    telemetrygen) tool telemetrygen github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.155.0 ;;
    k6) tool k6 go.k6.io/k6@v1.8.1 ;;
    mailpit) tool mailpit github.com/axllent/mailpit@v1.27.11 ;;
    prometheus) tool prometheus github.com/prometheus/prometheus/cmd/prometheus@v0.316.0 -tags remove_all_sd ;;
    promtool) tool promtool github.com/prometheus/prometheus/cmd/promtool@v0.316.0 -tags remove_all_sd ;;
    amtool) tool amtool github.com/prometheus/alertmanager/cmd/amtool@v0.34.2 ;;
    alertmanager) tool alertmanager github.com/prometheus/alertmanager/cmd/alertmanager@v0.31.1 ;; # the newest whose module holds its built page
    *) say "there is no part $part"; exit 2 ;;
  esac
done
