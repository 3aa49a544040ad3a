package packages

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kustomizeDir = "../kustomize"

// TestKustomizeBase: the base is the chart with its default values, less what belongs to Helm; `go test -update` writes it.
func TestKustomizeBase(t *testing.T) {
	files, err := renderAs(t, "watchingcat", "NAMESPACE", nil)
	require.NoError(t, err)
	for chart, base := range map[string]string{"policies": "networkpolicy.yaml", "service": "service.yaml", "statefulset": "statefulset.yaml"} {
		var out bytes.Buffer
		for i, doc := range documents(t, files["watchingcat/templates/"+chart+".yaml"]) {
			plain(doc)
			text, err := yaml.Marshal(doc)
			require.NoError(t, err)
			if i > 0 {
				out.WriteString("---\n")
			}
			out.Write(text)
		}
		same(t, filepath.Join(kustomizeDir, "base", base), out.Bytes())
	}
	objects := map[string]any{}
	read(t, files["watchingcat/templates/config.yaml"], objects)
	var lines []string
	for line := range strings.Lines(objects["ConfigMap/watchingcat"].(*core.ConfigMap).Data["watchingcat.yml"]) {
		if !strings.Contains(line, "NAMESPACE") { // the names of a service with its namespace, which an overlay sets
			lines = append(lines, line)
		}
	}
	same(t, filepath.Join(kustomizeDir, "base", "watchingcat.yml"), []byte(strings.Join(lines, "")))
}

// TestKustomize builds the base and the example, reads every field, and lets WatchingCat check the settings.
func TestKustomize(t *testing.T) {
	for _, dir := range []string{"base", "example"} {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(kustomizeDir, dir))
		require.NoError(t, err)
		text, err := built.AsYaml()
		require.NoError(t, err)
		objects := map[string]any{}
		read(t, string(text), objects)
		set := objects["StatefulSet/watchingcat"].(*apps.StatefulSet)
		found := false
		for _, v := range set.Spec.Template.Spec.Volumes {
			if v.ConfigMap != nil {
				m, ok := objects["ConfigMap/"+v.ConfigMap.Name].(*core.ConfigMap)
				require.True(t, ok, "%s is no ConfigMap of %s", v.ConfigMap.Name, dir)
				found = found || m.Data["watchingcat.yml"] != ""
				objects["ConfigMap/cat-watchingcat"] = m
			}
		}
		require.True(t, found, "%s has no settings", dir)
		settings(t, objects)
		if dir == "example" {
			require.Equal(t, "200Gi", set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().String())
			require.Equal(t, "observability", set.Namespace)
			require.Equal(t, "watchingcat-secrets", set.Spec.Template.Spec.Containers[0].EnvFrom[0].SecretRef.Name)
		}
	}
}

// documents are those of a file, as maps.
func documents(t *testing.T, text string) (list []map[string]any) {
	t.Helper()
	for part := range strings.SplitSeq(text, "\n---\n") {
		m := map[string]any{}
		require.NoError(t, yaml.Unmarshal([]byte(part), &m))
		if len(m) > 0 {
			list = append(list, m)
		}
	}
	return list
}

// plain removes what Helm puts into labels and annotations, at any depth.
func plain(m map[string]any) {
	for key, value := range m {
		if below, ok := value.(map[string]any); ok {
			plain(below)
			if len(below) == 0 && key == "annotations" {
				delete(m, key)
			}
		}
		for _, of := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart", "checksum/"} {
			if strings.HasPrefix(key, of) {
				delete(m, key)
			}
		}
		if list, ok := value.([]any); ok {
			for _, one := range list {
				if below, ok := one.(map[string]any); ok {
					plain(below)
				}
			}
		}
	}
}

// same compares a file with what it should be.
func same(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, want, 0o600))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "`go test -update` writes it")
}
