import java.io.IOException;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

// GET /: in a distribution it comes from the module rest-root, which Maven Central does not have.
public class RootPlugin extends Plugin implements ActionPlugin {
  @Override
  public List<RestHandler> getRestHandlers(Settings s, NamedWriteableRegistry w, RestController rc, ClusterSettings cs, IndexScopedSettings is,
      SettingsFilter sf, IndexNameExpressionResolver r, Supplier<DiscoveryNodes> n, Predicate<NodeFeature> f) {
    return List.of(new BaseRestHandler() {
      @Override public String getName() { return "main_action"; }
      @Override public List<Route> routes() { return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/")); }
      @Override protected RestChannelConsumer prepareRequest(RestRequest q, NodeClient c) throws IOException {
        return channel -> {
          try (XContentBuilder b = channel.newBuilder()) {
            b.startObject().field("name", "es1").field("cluster_name", "watchingcat").startObject("version").field("number", "8.19.0")
              .field("build_flavor", "default").endObject().field("tagline", "You Know, for Search").endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, b));
          }
        };
      }
    });
  }
}
