package packages

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers itself
	"github.com/stretchr/testify/require"
)

var dist = flag.String("dist", "", "the folder of a release that goreleaser made, to look into")

const (
	root     = "../.."
	checked  = "v1.2.3"     // the version of the packages that the tests build
	released = "1700000000" // and their time
)

// release reads .goreleaser.yaml; a field that goreleaser has not is an error.
func release(t *testing.T) config.Project {
	t.Helper()
	p, err := config.Load(root + "/.goreleaser.yaml")
	require.NoError(t, err)
	return p
}

// releaseFiles makes what packages hold.
func releaseFiles(t *testing.T) {
	t.Helper()
	out, err := madeFiles()
	require.NoError(t, err, "%s", out)
}

var madeFiles = sync.OnceValues(func() ([]byte, error) {
	cmd := exec.Command("make", "-s", "-C", root, "release-files", "VERSION="+checked, "SOURCE_DATE_EPOCH="+released)
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	return cmd.CombinedOutput()
})

// TestBuildsAreTheSame: releases, the image and `make reproduce` build with the same flags, and `make build` without paths and cgo.
func TestBuildsAreTheSame(t *testing.T) {
	b := release(t).Builds
	require.Len(t, b, 1)
	require.Equal(t, []string{"CGO_ENABLED=0"}, b[0].Env)
	version := regexp.MustCompile(`main\.release=\S+`).FindString(b[0].Ldflags[0])
	require.Equal(t, "main.release=v{{", version)
	flags := strings.Join(b[0].Flags, " ")
	ldflags, _, _ := strings.Cut(b[0].Ldflags[0], "v{{")
	makefile, err := os.ReadFile(root + "/Makefile")
	require.NoError(t, err)
	require.Contains(t, string(makefile), "CGO_ENABLED=0 $(GO) build "+flags+" -ldflags '"+ldflags+"$(VERSION)' ")
	require.Contains(t, string(makefile), "CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ")
	dockerfile, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(dockerfile), "CGO_ENABLED=0 go build "+flags+` -ldflags "`+ldflags+`${VERSION}" `)
	source, err := os.ReadFile(root + "/cmd/watchingcat/main.go")
	require.NoError(t, err)
	require.Contains(t, string(source), "\nvar release string\n")
}

// TestReleaseNamesFilesThatExist: what archives and packages copy is there, and scripts are.
func TestReleaseNamesFilesThatExist(t *testing.T) {
	releaseFiles(t)
	p := release(t)
	var sources []string
	for _, a := range p.Archives {
		for _, f := range a.Files {
			sources = append(sources, f.Source)
		}
	}
	for _, n := range p.NFPMs {
		for _, c := range n.Contents {
			if c.Type != "dir" {
				sources = append(sources, c.Source)
			}
		}
		for _, script := range []string{n.Scripts.PreInstall, n.Scripts.PostInstall, n.Scripts.PreRemove, n.Scripts.PostRemove} {
			if script == "" {
				continue
			}
			sources = append(sources, script)
			out, err := exec.CommandContext(t.Context(), "sh", "-n", filepath.Join(root, script)).CombinedOutput()
			require.NoError(t, err, "%s: %s", script, out)
		}
	}
	require.Greater(t, len(sources), 25)
	for _, s := range sources {
		found, err := filepath.Glob(filepath.Join(root, s))
		require.NoError(t, err)
		require.NotEmpty(t, found, s)
	}
}

// TestReleaseIsSigned: every file of a release is under the checksums, which are signed without a key, and every image is signed.
func TestReleaseIsSigned(t *testing.T) {
	p := release(t)
	require.Equal(t, "sha256", p.Checksum.Algorithm)
	require.Len(t, p.Signs, 1)
	require.Equal(t, "checksum", p.Signs[0].Artifacts)
	require.Len(t, p.DockerSigns, 1)
	for _, args := range [][]string{p.Signs[0].Args, p.DockerSigns[0].Args} {
		require.NotContains(t, strings.Join(args, " "), "--key")
	}
	var documented []string
	for _, s := range p.SBOMs {
		documented = append(documented, s.Artifacts)
	}
	require.ElementsMatch(t, []string{"archive", "package", "source"}, documented)
	require.Equal(t, "true", p.DockersV2[0].SBOM)
	require.Contains(t, p.DockersV2[0].Flags, "--provenance=mode=max")
}

// TestLinuxPackages builds the deb and the rpm as goreleaser does, by the library that it uses, and looks into them.
func TestLinuxPackages(t *testing.T) {
	releaseFiles(t)
	p := release(t)
	require.Len(t, p.NFPMs, 1)
	for _, format := range p.NFPMs[0].Formats {
		t.Run(format, func(t *testing.T) {
			file := pack(t, p.NFPMs[0], format)
			again, err := os.ReadFile(pack(t, p.NFPMs[0], format))
			require.NoError(t, err)
			first, err := os.ReadFile(file)
			require.NoError(t, err)
			require.True(t, bytes.Equal(first, again), "two packages of the same files differ")
			c := open(t, file)
			golden(t, format+".txt", []byte(c.list(t)))
			c.check(t, "linux", "amd64", checked)
			c.checkPackage(t)
		})
	}
}

// pack builds a package of the release's binary.
func pack(t *testing.T, n config.NFPM, format string) string {
	t.Helper()
	seconds, err := strconv.ParseInt(released, 10, 64)
	require.NoError(t, err)
	mtime := time.Unix(seconds, 0).UTC()
	info := &nfpm.Info{Name: n.PackageName, Arch: "amd64", Platform: "linux", Version: checked, Section: n.Section, Maintainer: n.Maintainer,
		Description: n.Description, Vendor: n.Vendor, Homepage: n.Homepage, License: n.License, MTime: mtime}
	info.Recommends = n.Recommends
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	require.Empty(t, n.Scripts.PreInstall)
	info.Scripts = nfpm.Scripts{PostInstall: filepath.Join(here, n.Scripts.PostInstall), PreRemove: filepath.Join(here, n.Scripts.PreRemove),
		PostRemove: filepath.Join(here, n.Scripts.PostRemove)}
	info.RPM.BuildHost = n.RPM.BuildHost
	require.NotEmpty(t, n.RPM.BuildHost)
	info.Contents = files.Contents{{Source: here + "/build/reproduced/watchingcat", Destination: n.Bindir + "/watchingcat",
		FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: mtime}}}
	for _, c := range n.Contents {
		require.Equal(t, "{{ .CommitDate }}", c.FileInfo.MTime, c.Destination)
		info.Contents = append(info.Contents, &files.Content{Source: filepath.Join(here, c.Source), Destination: c.Destination, Type: c.Type, Packager: c.Packager,
			FileInfo: &files.ContentFileInfo{Mode: c.FileInfo.Mode, MTime: mtime}})
	}
	info = nfpm.WithDefaults(info)
	require.NoError(t, nfpm.PrepareForPackager(info, format))
	packager, err := nfpm.Get(format)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), packager.ConventionalFileName(info))
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, packager.Package(info, f))
	require.NoError(t, f.Close())
	return file
}

// TestRelease looks into a release that goreleaser made: `make release-check`.
func TestRelease(t *testing.T) {
	if *dist == "" {
		t.Skip("without -dist there is no release")
	}
	sums, err := os.ReadFile(filepath.Join(*dist, "checksums.txt"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "checksums.txt")
	cmd.Dir = *dist
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	var found []string
	for _, pattern := range []string{"*.tar.gz", "*.deb", "*.rpm"} {
		list, err := filepath.Glob(filepath.Join(*dist, pattern))
		require.NoError(t, err)
		found = append(found, list...)
	}
	var platforms []string
	for _, file := range found {
		name := filepath.Base(file)
		require.Contains(t, string(sums), "  "+name+"\n")
		platform := regexp.MustCompile(`_(linux|darwin)_(amd64|arm64)\.`).FindStringSubmatch(name)
		if platform == nil {
			require.Regexp(t, `^watchingcat-[^_]+\.tar\.gz$`, name, "what is neither for a platform nor the source?")
			continue
		}
		t.Run(name, func(t *testing.T) {
			version := "v" + strings.Split(name, "_")[1]
			c := open(t, file)
			c.check(t, platform[1], platform[2], version)
			switch filepath.Ext(name) {
			case ".gz":
				golden(t, "archive.txt", []byte(c.list(t)))
			case ".deb", ".rpm":
				c.checkPackage(t)
				golden(t, filepath.Ext(name)[1:]+".txt", []byte(c.list(t)))
			}
		})
		platforms = append(platforms, platform[1]+"/"+platform[2]+filepath.Ext(name))
	}
	slices.Sort(platforms)
	require.Equal(t, []string{"darwin/amd64.gz", "darwin/arm64.gz", "linux/amd64.deb", "linux/amd64.gz", "linux/amd64.rpm", "linux/arm64.deb",
		"linux/arm64.gz", "linux/arm64.rpm"}, platforms)
}
