import java.nio.file.Files;
import java.nio.file.Path;

/** Writes its own class path, which Maven made, into a file. */
public final class Classpath {
  public static void main(String[] args) throws Exception {
    Files.writeString(Path.of(args[0]), System.getProperty("java.class.path"));
  }
}
