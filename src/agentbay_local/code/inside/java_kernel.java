// The Java kernel: a JShell in this virtual machine. relay_kernel.py describes the messages.

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;
import jdk.jshell.ExpressionSnippet;
import jdk.jshell.JShell;
import jdk.jshell.Snippet;
import jdk.jshell.Snippet.Status;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;

class JavaKernel {
  private final DataInputStream requests;
  private final DataOutputStream replies;
  private final JShell shell = JShell.builder().executionEngine("local").build();
  private volatile boolean interrupted;
  private int count;

  JavaKernel(String requests, String replies) throws IOException {
    this.requests = new DataInputStream(new FileInputStream(requests));
    this.replies = new DataOutputStream(new FileOutputStream(replies));
  }

  public static void main(String[] paths) throws Exception {
    JavaKernel kernel = new JavaKernel(paths[0], paths[1]);
    kernel.handleInterrupts();
    // As the command jshell does.
    for (String name : new String[] {"io", "math", "net", "nio.file", "util", "util.function",
        "util.stream", "util.concurrent"}) {
      kernel.shell.eval("import java." + name + ".*;");
    }
    kernel.send("ready");
    try {
      while (true) {
        kernel.run(kernel.receive());
      }
    } catch (EOFException ended) {
      System.exit(0);
    }
  }

  // By reflection, because the compiler warns of these classes by name, on standard error.
  private void handleInterrupts() throws ReflectiveOperationException {
    Class<?> signal = Class.forName("sun.misc.Signal");
    Class<?> handler = Class.forName("sun.misc.SignalHandler");
    Object stop = Proxy.newProxyInstance(
        getClass().getClassLoader(),
        new Class<?>[] {handler},
        (proxy, method, arguments) -> {
          interrupted = true;
          shell.stop();
          return null;
        });
    Object number = signal.getConstructor(String.class).newInstance("INT");
    signal.getMethod("handle", signal, handler).invoke(null, number, stop);
  }

  private void run(String[] request) throws Exception {
    count += 1;
    interrupted = false;
    for (int index = 1; index < request.length; index += 2) {
      setVariable(request[index], request[index + 1]);
    }
    boolean succeeded = evaluate(request[0]);
    System.out.flush();
    System.err.flush();
    if (interrupted) {
      send("error", "Interrupted", "the code was interrupted", "");
    }
    boolean failed = interrupted || !succeeded;
    send("done", String.valueOf(count), failed ? "1" : "0", interrupted ? "1" : "0");
  }

  // The map that the process passes on to its children, and that its own code reads.
  @SuppressWarnings("unchecked")
  private static void setVariable(String name, String value) throws ReflectiveOperationException {
    Field inner = Collections.unmodifiableMap(Map.of()).getClass().getDeclaredField("m");
    inner.setAccessible(true);
    ((Map<String, String>) inner.get(System.getenv())).put(name, value);
  }

  private boolean evaluate(String code) throws IOException {
    String rest = code;
    while (!rest.isBlank() && !interrupted) {
      CompletionInfo next = shell.sourceCodeAnalysis().analyzeCompletion(rest);
      String source = next.completeness().isComplete() ? next.source() : rest;
      rest = next.completeness().isComplete() ? next.remaining() : "";
      for (SnippetEvent event : shell.eval(source)) {
        // Other events tell of earlier declarations that this one changes.
        if (event.causeSnippet() == null && !report(event, rest.isBlank())) {
          return false;
        }
      }
    }
    return true;
  }

  private boolean report(SnippetEvent event, boolean last) throws IOException {
    if (event.status() == Status.REJECTED) {
      String text = shell.diagnostics(event.snippet())
          .map(problem -> problem.getMessage(Locale.ROOT))
          .collect(Collectors.joining("\n"));
      send("error", "CompilationError", text, text + "\n" + event.snippet().source());
      return false;
    }
    if (event.exception() != null) {
      if (!interrupted) {
        reportException(event.exception());
      }
      return false;
    }
    if (event.value() != null && !event.value().isEmpty() && isExpression(event.snippet())) {
      System.out.flush();
      send("result", "text/plain", event.value(), last ? "1" : "0");
      receive();
    }
    return true;
  }

  private void reportException(Exception problem) throws IOException {
    String name = problem.getClass().getName();
    if (problem instanceof EvalException) {
      name = ((EvalException) problem).getExceptionClassName();
    }
    StringBuilder trace = new StringBuilder(name + ": " + problem.getMessage());
    for (StackTraceElement element : problem.getStackTrace()) {
      trace.append("\n    at ").append(element);
    }
    send("error", name, String.valueOf(problem.getMessage()), trace.toString());
  }

  // A declaration has a value too, which nobody asked to see.
  private static boolean isExpression(Snippet snippet) {
    return snippet instanceof ExpressionSnippet
        || snippet.subKind() == Snippet.SubKind.TEMP_VAR_EXPRESSION_SUBKIND;
  }

  private String[] receive() throws IOException {
    String[] texts = new String[requests.readInt()];
    for (int index = 0; index < texts.length; index++) {
      texts[index] = new String(requests.readNBytes(requests.readInt()), StandardCharsets.UTF_8);
    }
    return texts;
  }

  private void send(String... texts) throws IOException {
    replies.writeInt(texts.length);
    for (String text : texts) {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      replies.writeInt(bytes.length);
      replies.write(bytes);
    }
    replies.flush();
  }
}
