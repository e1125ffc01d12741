package example;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.KeyLengthException;
import com.nimbusds.jose.crypto.MACVerifier;
import com.nimbusds.jwt.SignedJWT;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Checks tokens with Nimbus JOSE+JWT: each token of a file such as server/internal/token/testdata/vectors.json must be
 * signed with its secret and hold its claims and nothing else. Keys under 32 bytes, which Nimbus takes for none, are
 * counted apart.
 */
public final class Verify {
  record Vector(String name, String secret, @JsonProperty("external_id") String externalId, String email, long iat, String token) {
    void check() throws Exception {
      var jwt = SignedJWT.parse(token);
      var verifier = new MACVerifier(secret.getBytes(StandardCharsets.UTF_8));
      if (!jwt.getHeader().getAlgorithm().equals(JWSAlgorithm.HS256) || !jwt.verify(verifier)) {
        throw new IllegalArgumentException("bad signature");
      }
      Map<String, Object> want = new HashMap<>(Map.of("iat", iat));
      if (externalId != null) {
        want.put("externalId", externalId);
      }
      if (email != null) {
        want.put("email", email);
      }
      var claims = jwt.getPayload().toJSONObject();
      if (!claims.equals(want)) {
        throw new IllegalArgumentException("claims " + claims + ", want " + want);
      }
    }
  }

  public static void main(String[] args) throws Exception {
    var vectors = new ObjectMapper().readValue(Files.readString(Path.of(args[0])), Vector[].class);
    int refused = 0;
    for (var vector : vectors) {
      try {
        vector.check();
      } catch (KeyLengthException e) {
        refused++;
      } catch (Exception e) {
        System.err.println(vector.name() + ": " + e.getMessage());
        System.exit(1);
      }
    }
    System.out.printf("%d tokens verified with Nimbus JOSE+JWT", vectors.length - refused);
    System.out.println(refused == 0 ? "" : ", " + refused + " refused for a short key");
  }
}
