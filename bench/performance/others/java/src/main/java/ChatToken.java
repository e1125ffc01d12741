import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.jsonwebtoken.Jwts;
import io.jsonwebtoken.io.Deserializer;
import io.jsonwebtoken.jackson.io.JacksonDeserializer;
import io.jsonwebtoken.security.Keys;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.crypto.SecretKey;

/** What a Java user would write instead of the sidecar: jjwt behind the JDK's HttpServer. */
public final class ChatToken {
    private static final SecretKey KEY =
            Keys.hmacShaKeyFor(System.getenv("SECRET_KEY").getBytes(StandardCharsets.UTF_8));
    private static final Deserializer<Map<String, ?>> JSON = new JacksonDeserializer<>();

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 1024);
        server.createContext("/chat-token", ChatToken::answer);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            var body = new InputStreamReader(exchange.getRequestBody(), StandardCharsets.UTF_8);
            Object externalId = JSON.deserialize(body).get("external_id");
            String token = Jwts.builder()
                    .header().type("JWT").and()
                    .claim("externalId", externalId)
                    .issuedAt(new Date())
                    .signWith(KEY, Jwts.SIG.HS256)
                    .compact();
            byte[] answer = ("{\"token\":\"" + token + "\"}").getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
        }
    }
}
