package packages

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/require"
)

// dockerfile is deploy/Dockerfile by stage, and the arguments before the first.
func dockerfile(t *testing.T) (stages map[string]instructions.Stage, final instructions.Stage, args []instructions.ArgCommand) {
	t.Helper()
	f, err := os.Open("../Dockerfile")
	require.NoError(t, err)
	defer f.Close()
	tree, err := parser.Parse(f)
	require.NoError(t, err)
	require.Empty(t, tree.Warnings)
	list, args, err := instructions.Parse(tree.AST, nil)
	require.NoError(t, err)
	stages = map[string]instructions.Stage{}
	for _, s := range list {
		stages[s.Name] = s
	}
	return stages, list[len(list)-1], args
}

func commands[T any](s instructions.Stage) (list []T) {
	for _, c := range s.Commands {
		if of, ok := c.(T); ok {
			list = append(list, of)
		}
	}
	return list
}

// buildContext copies what docker sends as the context: the repository without what .dockerignore names.
func buildContext(t *testing.T) string {
	t.Helper()
	f, err := os.Open(root + "/.dockerignore")
	require.NoError(t, err)
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	require.NoError(t, err)
	ignored, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		skip, err := ignored.MatchesOrParentMatches(name)
		require.NoError(t, err)
		if skip {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted, and not yet committed
			continue
		}
		require.NoError(t, err)
		to := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o750))
		require.NoError(t, os.WriteFile(to, text, 0o600))
	}
	return dir
}

// buildStage does what the stage build does, in folders of its own, and returns where the stage's files are.
func buildStage(t *testing.T, s instructions.Stage) string {
	t.Helper()
	files := t.TempDir()
	source, work := buildContext(t), "/"
	env := os.Environ()
	for _, command := range s.Commands {
		switch c := command.(type) {
		case *instructions.WorkdirCommand:
			work = c.Path
			require.NoError(t, os.MkdirAll(filepath.Join(files, work), 0o750))
		case *instructions.CopyCommand:
			require.Empty(t, c.From)
			for _, path := range c.SourcePaths {
				_, err := os.Stat(filepath.Join(source, path))
				require.NoError(t, err, "COPY %s", path)
			}
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				env = append(env, a.Key+"="+a.ValueString())
			}
		case *instructions.RunCommand:
			require.Equal(t, "/src", work)
			line := strings.Join(c.CmdLine, " ")
			line = strings.ReplaceAll(line, "GOCACHE=/cache ", "") // a mount: here it is the cache of the user
			line = strings.ReplaceAll(line, " -o /out/", " -o "+files+"/out/")
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Dir, cmd.Env = source, slices.Concat(env, []string{"GOFLAGS=", "GOOS=linux"})
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s\n%s", line, out)
		default:
			t.Fatalf("the test does not know %s", c.Name())
		}
	}
	return files
}

// TestImage builds the image's files as deploy/Dockerfile says, and runs the server and its health check among them alone, as the image's user.
func TestImage(t *testing.T) {
	stages, final, args := dockerfile(t)
	require.Equal(t, "BINARY", args[0].Args[0].Key)
	require.Equal(t, "build", args[0].Args[0].ValueString())
	require.Equal(t, "${BINARY}", stages["binary"].BaseName)
	require.Empty(t, stages["binary"].Commands)
	goMod, err := os.ReadFile(root + "/go.mod")
	require.NoError(t, err)
	require.Equal(t, "golang:"+regexp.MustCompile(`\ngo ([0-9.]+)\n`).FindStringSubmatch(string(goMod))[1]+"-bookworm", stages["build"].BaseName,
		"another version of Go gives another binary")
	require.Equal(t, "gcr.io/distroless/static-debian12:nonroot", final.BaseName)
	require.Empty(t, commands[*instructions.RunCommand](final), "the base has no shell")
	require.Equal(t, "65532:65532", commands[*instructions.UserCommand](final)[0].User)

	built := buildStage(t, stages["build"])
	image := t.TempDir()
	require.NoError(t, os.Chmod(image, 0o755)) //nolint:gosec // the root folder of the image
	require.NoError(t, os.Mkdir(filepath.Join(image, "tmp"), 0o700))
	require.NoError(t, os.Chmod(filepath.Join(image, "tmp"), 0o777)) //nolint:gosec // as in the base
	copies := commands[*instructions.CopyCommand](final)
	require.Len(t, copies, 2, "the binary and an empty folder")
	for _, c := range copies {
		require.Equal(t, "binary", c.From)
		from, to := filepath.Join(built, c.SourcePaths[0]), filepath.Join(image, c.DestPath)
		info, err := os.Stat(from)
		require.NoError(t, err, "COPY %s", c.SourcePaths[0])
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755)) //nolint:gosec // others read it
		if !info.IsDir() {
			text, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, text, 0o755)) //nolint:gosec // it is run
			continue
		}
		list, err := os.ReadDir(from)
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoError(t, os.Mkdir(to, 0o750))
		require.Equal(t, "65532:65532", c.Chown)
		if os.Getuid() == 0 {
			require.NoError(t, os.Chown(to, 65532, 65532))
		}
	}
	runImage(t, image, final)
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// runImage starts what the image starts, and waits for the health check.
func runImage(t *testing.T, image string, final instructions.Stage) {
	t.Helper()
	entry := commands[*instructions.EntrypointCommand](final)[0]
	health := commands[*instructions.HealthCheckCommand](final)[0].Health
	cmd := commands[*instructions.CmdCommand](final)[0]
	require.False(t, entry.PrependShell, "there is no shell")
	require.False(t, cmd.PrependShell, "there is no shell")
	require.Equal(t, "CMD", health.Test[0], "there is no shell")
	env := []string{}
	for _, kv := range commands[*instructions.EnvCommand](final)[0].Env {
		env = append(env, kv.Key+"="+kv.Value)
	}
	require.Equal(t, []string{"WATCHINGCAT_DATA_DIR=" + commands[*instructions.VolumeCommand](final)[0].Volumes[0]}, env)
	if os.Getuid() != 0 {
		t.Skip("only root may change the root folder")
	}
	env = append(env, "WATCHINGCAT_EMBEDDED=true", "WATCHINGCAT_HTTP_ADDR="+freeAddr(t), "WATCHINGCAT_EMBEDDED_ADDR="+freeAddr(t), "WATCHINGCAT_MEMORY_LIMIT=512MiB",
		"WATCHINGCAT_MIN_FREE_DISK_BYTES=1")
	in := func(ctx context.Context, line []string) *exec.Cmd {
		c := exec.CommandContext(ctx, line[0], line[1:]...)
		c.Path, c.Err, c.Env, c.Dir = line[0], nil, env, "/"
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var log bytes.Buffer
	server := in(ctx, slices.Concat(entry.CmdLine, cmd.CmdLine))
	server.Stdout, server.Stderr = &log, &log
	require.NoError(t, server.Start())
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	for {
		out, err := in(ctx, health.Test[1:]).CombinedOutput()
		if err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v\n%s", err, &log)
		case <-ctx.Done():
			t.Fatalf("the health check fails: %v: %s", err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-ended, "%s", &log)
	state, err := os.ReadDir(filepath.Join(image, "var/lib/watchingcat"))
	require.NoError(t, err)
	require.NotEmpty(t, state, "the state is in the volume")
}

// TestReleaseImage: the image of a release takes the binaries from where goreleaser puts them, and has the same folders as the one from source.
func TestReleaseImage(t *testing.T) {
	stages, _, _ := dockerfile(t)
	p := release(t)
	require.Len(t, p.DockersV2, 1)
	require.Equal(t, "deploy/Dockerfile", p.DockersV2[0].Dockerfile)
	require.Equal(t, map[string]string{"BINARY": "release"}, p.DockersV2[0].BuildArgs)
	s := stages["release"]
	require.Equal(t, "scratch", s.BaseName)
	require.Equal(t, "TARGETPLATFORM", commands[*instructions.ArgCommand](s)[0].Args[0].Key)
	c := commands[*instructions.CopyCommand](s)
	require.Len(t, c, 1)
	require.Equal(t, []string{"$TARGETPLATFORM/" + p.Builds[0].Binary}, c[0].SourcePaths)
	require.Equal(t, "/out/watchingcat", c[0].DestPath)
	require.Equal(t, "/state", commands[*instructions.WorkdirCommand](s)[0].Path)
	for _, platform := range p.DockersV2[0].Platforms {
		system, arch, _ := strings.Cut(platform, "/")
		require.Contains(t, p.Builds[0].Goos, system)
		require.Contains(t, p.Builds[0].Goarch, arch)
	}
	values, err := os.ReadFile(chartDir + "/values.yaml")
	require.NoError(t, err)
	require.Contains(t, string(values), fmt.Sprintf("repository: %s\n", p.DockersV2[0].Images[0]))
}
