import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsUtils;

// Starts one Elasticsearch node from the jars that Maven Central has; args[0] is its folder, with config and modules.
public class Node {
  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]).toAbsolutePath();
    Settings settings = Settings.builder().loadFromPath(home.resolve("config/elasticsearch.yml")).put("path.home", home.toString()).build();
    Environment env = new Environment(settings, home.resolve("config"));
    LogConfigurator.setNodeName("es");
    LogConfigurator.configure(env, true);
    PluginsLoader plugins = PluginsLoader.createPluginsLoader(PluginsUtils.getModuleBundles(env.modulesDir()), Set.of(), Map.of(), false);
    new org.elasticsearch.node.Node(env, plugins).start();
    Thread.currentThread().join();
  }
}
