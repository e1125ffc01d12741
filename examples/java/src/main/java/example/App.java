package example;

import com.chatidentity.v1.ChatIdentityServiceGrpc;
import com.chatidentity.v1.ChatIdentityServiceGrpc.ChatIdentityServiceBlockingStub;
import com.chatidentity.v1.Customer;
import com.chatidentity.v1.Identifier;
import com.chatidentity.v1.IssueTokenRequest;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.Timestamps;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import io.javalin.Javalin;
import io.javalin.http.Context;
import io.javalin.http.HttpStatus;
import io.netty.channel.ChannelOption;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import java.net.UnixDomainSocketAddress;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * A backend in Java that lets its users chat as themselves: it logs a user in, and on POST /chat-token asks the
 * sidecar for that user's token. Whatever the sidecar does, the rest of the backend goes on.
 */
public final class App {
  private static final Logger log = LoggerFactory.getLogger(App.class);
  // Without a reason, any other code comes from gRPC itself: nobody gets a token until the set-up
  // is mended.
  private static final Set<Code> AWAY = Set.of(Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED);
  private static final long DEADLINE_MS = 1000; // for all tries together

  // RESOURCE_EXHAUSTED is not retried: the sidecar says when to come back, and the browser is told.
  private static final Map<String, ?> SERVICE_CONFIG = Map.of("methodConfig", List.of(Map.of(
      "name", List.of(Map.of("service", "chatidentity.v1.ChatIdentityService")),
      "retryPolicy", Map.of("maxAttempts", 3.0, "initialBackoff", "0.05s", "maxBackoff", "0.2s",
          "backoffMultiplier", 2.0, "retryableStatusCodes", List.of("UNAVAILABLE")))));

  private final ManagedChannel channel = connect(System.getenv().getOrDefault("CHATIDENTITY_ADDRESS", "127.0.0.1:9451"));
  private final ChatIdentityServiceBlockingStub chat = ChatIdentityServiceGrpc.newBlockingStub(channel);

  public static void main(String[] args) {
    var app = new App();
    app.channel.getState(true); // connect now: in a cold JVM the first call takes longer than its deadline
    Javalin.create(config -> config.showJavalinBanner = false)
        .get("/", App::page)
        .post("/login", App::logIn)
        .post("/chat-token", app::chatToken)
        .start("127.0.0.1", Integer.parseInt(System.getenv().getOrDefault("PORT", "8080")));
  }

  private static ManagedChannel connect(String address) {
    NettyChannelBuilder builder;
    if (address.startsWith("unix:")) {
      builder = NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(address.substring("unix:".length())))
          .channelType(NioDomainSocketChannel.class)
          .eventLoopGroup(new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory()))
          .withOption(ChannelOption.SO_KEEPALIVE, null) // such a socket has none
          .overrideAuthority("localhost"); // else it is the path
    } else {
      builder = NettyChannelBuilder.forTarget(address).proxyDetector(target -> null);
    }
    return builder.usePlaintext().defaultServiceConfig(SERVICE_CONFIG).build(); // it never leaves the machine
  }

  private static void page(Context ctx) {
    var user = user(ctx).replace("&", "&amp;").replace("<", "&lt;");
    ctx.html("<p>User: " + user + "</p><form method=post action=/login><input name=user_id><button>Log in</button></form>");
  }

  /** Stands for the backend's own log-in: it believes what it is told. */
  private static void logIn(Context ctx) {
    ctx.sessionAttribute("user_id", ctx.formParam("user_id"));
    ctx.redirect("/", HttpStatus.SEE_OTHER);
  }

  private static String user(Context ctx) {
    String user = ctx.sessionAttribute("user_id");
    return user == null ? "" : user;
  }

  private void chatToken(Context ctx) {
    ctx.header("Cache-Control", "no-store");
    var user = user(ctx); // from the session, never from the request
    if (user.isEmpty()) {
      ctx.status(401).json(Map.of("error", "not logged in"));
      return;
    }
    try {
      var issued = chat.withDeadlineAfter(DEADLINE_MS, TimeUnit.MILLISECONDS)
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(trace(ctx)))
          .issueToken(IssueTokenRequest.newBuilder().setCustomer(Customer.newBuilder().setExternalId(user)).build());
      var byEmail = issued.getLoginIdentifier() == Identifier.IDENTIFIER_EMAIL;
      ctx.json(Map.of(
          "token", issued.getToken(),
          "login_identifier", byEmail ? "email" : "external_id",
          "expire_time", Timestamps.toString(issued.getExpireTime())));
    } catch (StatusRuntimeException e) {
      refuse(ctx, e);
    }
  }

  /** What connects the sidecar's records with this request. */
  private static Metadata trace(Context ctx) {
    var metadata = new Metadata();
    for (var name : List.of("x-request-id", "traceparent")) {
      var value = ctx.header(name);
      if (value != null && value.matches("[A-Za-z0-9._:-]{1,128}")) { // gRPC changes other bytes
        metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
      }
    }
    return metadata;
  }

  /** Tells the browser to wait, or to do without chat log-in. */
  private void refuse(Context ctx, StatusRuntimeException failed) {
    var status = StatusProto.fromThrowable(failed);
    var info = detail(status, ErrorInfo.class, ErrorInfo.getDefaultInstance());
    var isSetUp = info.getReason().isEmpty() && !AWAY.contains(failed.getStatus().getCode());
    var why = info.getReason().isEmpty() // errors of gRPC itself have none
        ? "" : " " + info.getReason() + " audit_id=" + info.getMetadataOrDefault("audit_id", "");
    var cause = failed.getCause() == null ? "" : " (" + failed.getCause().getMessage() + ")"; // of gRPC's "io exception"
    log.atLevel(isSetUp ? Level.ERROR : Level.WARN).log("{}: {}{}: {}",
        isSetUp ? "the set-up of chat is wrong" : "no chat token", failed.getStatus().getCode(), why,
        failed.getStatus().getDescription() + cause);
    switch (failed.getStatus().getCode()) {
      case RESOURCE_EXHAUSTED -> {
        var delay = detail(status, RetryInfo.class, RetryInfo.getDefaultInstance()).getRetryDelay();
        ctx.header("Retry-After", String.valueOf(Math.max(1, delay.getSeconds() + (delay.getNanos() > 0 ? 1 : 0))));
        ctx.status(429).json(Map.of("error", "too many chat log-ins"));
      }
      // Our own fault: the log names the rule that this user's ID breaks.
      case INVALID_ARGUMENT -> ctx.status(422).json(Map.of("error", "this user cannot log in to chat"));
      default -> {
        channel.resetConnectBackoff(); // else up to two minutes pass after a restart of the sidecar
        ctx.json(Collections.singletonMap("token", null));
      }
    }
  }

  private static <T extends Message> T detail(Status status, Class<T> type, T none) {
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(type)) {
          return detail.unpack(type);
        }
      }
    } catch (InvalidProtocolBufferException e) {
      log.warn("a detail of the error cannot be read: {}", e.getMessage());
    }
    return none;
  }
}
