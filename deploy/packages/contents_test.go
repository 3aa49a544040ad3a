package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/blakesmith/ar"
	rpm "github.com/sassoftware/go-rpmutils"
	"github.com/stretchr/testify/require"
)

// contents is what an archive or a package holds.
type contents struct {
	files   map[string]packed // by path, without a slash in front
	scripts map[string]string
	config  []string // files that an upgrade leaves as they are
	about   map[string]string
}

type packed struct {
	mode        fs.FileMode
	owner, data string
	dir         bool
}

// open reads a .tar.gz, a .deb or a .rpm.
func open(t *testing.T, file string) *contents {
	t.Helper()
	c := &contents{files: map[string]packed{}, scripts: map[string]string{}, about: map[string]string{}}
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	switch filepath.Ext(file) {
	case ".gz":
		c.files = untar(t, f)
		// all is in one folder
		top := strings.TrimSuffix(filepath.Base(file), ".tar.gz") + "/"
		for _, name := range slices.Collect(maps.Keys(c.files)) {
			require.True(t, strings.HasPrefix(name, top), name)
			c.files[strings.TrimPrefix(name, top)] = c.files[name]
			delete(c.files, name)
		}
	case ".deb":
		c.openDeb(t, f)
	case ".rpm":
		c.openRPM(t, f)
	default:
		t.Fatalf("%s is of no known kind", file)
	}
	return c
}

func untar(t *testing.T, r io.Reader) map[string]packed {
	t.Helper()
	list := map[string]packed{}
	z, err := gzip.NewReader(r)
	require.NoError(t, err)
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		b, err := io.ReadAll(archive)
		require.NoError(t, err)
		name := strings.TrimPrefix(strings.TrimPrefix(path.Clean(h.Name), "/"), "./")
		require.NotContains(t, list, name)
		list[name] = packed{mode: h.FileInfo().Mode().Perm(), owner: h.Uname + ":" + h.Gname, data: string(b), dir: h.Typeflag == tar.TypeDir}
	}
}

func (c *contents) openDeb(t *testing.T, f io.Reader) {
	t.Helper()
	for archive := ar.NewReader(f); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		switch h.Name {
		case "debian-binary":
		case "control.tar.gz":
			for name, p := range untar(t, archive) {
				switch name {
				case "control":
					for line := range strings.Lines(p.data) {
						if key, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") {
							c.about[key] = strings.TrimSpace(value)
						}
					}
				case "conffiles":
					c.config = strings.Fields(p.data)
				case "postinst", "prerm", "postrm":
					c.scripts[map[string]string{"postinst": "postinstall", "prerm": "preremove", "postrm": "postremove"}[name]] = p.data
					require.EqualValues(t, 0o755, p.mode, name)
				case ".", "md5sums":
				default:
					t.Errorf("control of the package holds %s", name)
				}
			}
		case "data.tar.gz":
			c.files = untar(t, archive)
		default:
			t.Errorf("the package holds %s", h.Name)
		}
	}
}

func (c *contents) openRPM(t *testing.T, f io.Reader) {
	t.Helper()
	p, err := rpm.ReadRpm(f)
	require.NoError(t, err)
	list, err := p.Header.GetFiles()
	require.NoError(t, err)
	infos := map[string]rpm.FileInfo{}
	for _, info := range list {
		infos[strings.TrimPrefix(info.Name(), "/")] = info
		if info.Flags()&(rpm.RPMFILE_CONFIG|rpm.RPMFILE_NOREPLACE) == rpm.RPMFILE_CONFIG|rpm.RPMFILE_NOREPLACE {
			c.config = append(c.config, info.Name())
		}
	}
	payload, err := p.PayloadReaderExtended()
	require.NoError(t, err)
	for {
		info, err := payload.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		dir := info.Mode()&0o170000 == 0o040000
		var b []byte
		if !dir {
			b, err = io.ReadAll(payload)
			require.NoError(t, err)
		}
		c.files[strings.TrimPrefix(info.Name(), "/")] = packed{mode: fs.FileMode(info.Mode() & 0o777), owner: info.UserName() + ":" + info.GroupName(),
			data: string(b), dir: dir}
	}
	require.Len(t, c.files, len(infos))
	for name, tag := range map[string]int{"postinstall": rpm.POSTIN, "preremove": rpm.PREUN, "postremove": rpm.POSTUN} {
		c.scripts[name], err = p.Header.GetString(tag)
		require.NoError(t, err)
	}
	for name, tag := range map[string]int{"Package": rpm.NAME, "License": rpm.LICENSE, "Homepage": rpm.URL} {
		c.about[name], err = p.Header.GetString(tag)
		require.NoError(t, err)
	}
}

// list has a line for each file: mode, owner, path.
func (c *contents) list(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		if f := c.files[name]; !f.dir || strings.Contains(name, "watchingcat") { // nfpm makes folders above in one format only
			fmt.Fprintf(&out, "%o %s %s\n", f.mode, f.owner, name)
		}
	}
	return out.String()
}

// file is the one with this name.
func (c *contents) file(t *testing.T, name string) packed {
	t.Helper()
	for p, f := range c.files {
		if !f.dir && path.Base(p) == name {
			return f
		}
	}
	t.Fatalf("there is no file %s", name)
	return packed{}
}

// check is of what archives and packages have.
func (c *contents) check(t *testing.T, system, arch, version string) {
	t.Helper()
	binary := c.file(t, "watchingcat")
	if !strings.HasPrefix(binary.data, "\x7fELF") && system == "linux" { // the completion for bash has the same name
		binary = c.files["usr/bin/watchingcat"]
	}
	require.EqualValues(t, 0o755, binary.mode)
	info, err := buildinfo.Read(strings.NewReader(binary.data))
	require.NoError(t, err)
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	require.Equal(t, []string{system, arch, "0", "true"}, []string{settings["GOOS"], settings["GOARCH"], settings["CGO_ENABLED"], settings["-trimpath"]})
	require.NotContains(t, settings, "vcs.revision", "it would differ from what is built from an archive of the source")
	if system == "linux" {
		program, err := elf.NewFile(strings.NewReader(binary.data))
		require.NoError(t, err)
		libraries, err := program.ImportedLibraries()
		require.NoError(t, err)
		require.Empty(t, libraries)
	}
	for _, name := range []string{"watchingcat.1.gz", "watchingcat-serve.1.gz", "watchingcat.yml.5.gz"} {
		z, err := gzip.NewReader(strings.NewReader(c.file(t, name).data))
		require.NoError(t, err)
		page, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Contains(t, string(page[:200]), `"WatchingCat `+strings.ReplaceAll(version, "-", `\-`)+`"`, "the version in %s", name)
	}
	require.Contains(t, c.file(t, "THIRD_PARTY_NOTICES").data, "github.com/twmb/franz-go v")
	require.Contains(t, c.file(t, "watchingcat.service").data, "\nExecStart=/usr/bin/watchingcat serve --config /etc/watchingcat/watchingcat.yml\n")
	require.Contains(t, c.file(t, "watchingcat.yml.example").data, "\nkafka_brokers: []\n")
	if system != runtime.GOOS || arch != runtime.GOARCH {
		return
	}
	program := filepath.Join(t.TempDir(), "watchingcat")
	require.NoError(t, os.WriteFile(program, []byte(binary.data), 0o700)) //nolint:gosec // it is run
	out, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "watchingcat "+version+"\n", string(out))
	for _, name := range []string{"watchingcat.yml", "watchingcat.yml.example"} {
		settings := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(settings, []byte(c.file(t, name).data), 0o600))
		out, err := exec.CommandContext(t.Context(), program, "config", "check", "--config", settings).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

// checkPackage is of what packages have beyond archives.
func (c *contents) checkPackage(t *testing.T) {
	t.Helper()
	require.Equal(t, "watchingcat", c.about["Package"])
	require.Equal(t, "https://github.com/gaurav/watchingcat", c.about["Homepage"])
	require.ElementsMatch(t, []string{"/etc/watchingcat/watchingcat.env", "/etc/watchingcat/watchingcat.yml"}, c.config)
	require.EqualValues(t, 0o600, c.files["etc/watchingcat/watchingcat.env"].mode, "it holds secrets")
	require.EqualValues(t, 0o755, c.files["etc/watchingcat"].mode)
	require.True(t, c.files["etc/watchingcat"].dir)
	unit := c.files["usr/lib/systemd/system/watchingcat.service"].data
	for line := range strings.Lines(unit) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			words := strings.Fields(command)
			require.Contains(t, c.files, strings.TrimPrefix(words[0], "/"))
			require.Contains(t, c.files, strings.TrimPrefix(words[len(words)-1], "/"))
		}
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "EnvironmentFile=-"); ok {
			require.Contains(t, c.files, strings.TrimPrefix(file, "/"))
		}
		if user, ok := strings.CutPrefix(strings.TrimSpace(line), "User="); ok {
			require.Contains(t, c.files["usr/lib/sysusers.d/watchingcat.conf"].data, "\nu "+user+" - ")
		}
	}
	require.Contains(t, c.scripts["postinstall"], "systemd-sysusers watchingcat.conf")
	require.Contains(t, c.scripts["preremove"], "systemctl disable --now watchingcat.service")
	require.Contains(t, c.scripts["postremove"], "daemon-reload")
	for name, f := range c.files {
		require.True(t, f.owner == "root:root" || f.owner == ":", "%s belongs to %s", name, f.owner)
		require.Zero(t, f.mode&0o022, "%s may be written by others", name)
	}
	if analyze, err := exec.LookPath("systemd-sysusers"); err == nil { // it reads the file and makes nothing
		dir := t.TempDir()
		file := filepath.Join(dir, "watchingcat.conf")
		require.NoError(t, os.WriteFile(file, []byte(c.files["usr/lib/sysusers.d/watchingcat.conf"].data), 0o600))
		out, err := exec.CommandContext(t.Context(), analyze, "--dry-run", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(bytes.ToLower(out)), "ignoring")
	}
}
