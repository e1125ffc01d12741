import { app } from './app.js';

const port = Number(process.env.PORT ?? 8080);
app.listen(port, '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${port}`);
});
